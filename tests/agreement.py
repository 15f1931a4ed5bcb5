"""How near a method is to recorded vectors or to a second computation: held, and told if asked."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TELL = "PFEDMMA_AGREEMENT"
"""Environment variable: the file to which every comparison adds a line (`tests.cards --golden`)."""
SECOND = ""
"""In place of a golden file: a second computation, in the test itself."""


class Golden(dict):
    """The arrays of one golden file, which keep its name when others are joined to them."""

    def __init__(self, name: str, arrays: dict[str, Any]) -> None:
        super().__init__(arrays)
        self.name = name

    def __or__(self, other: dict[str, Any]) -> "Golden":
        return Golden(self.name, {**self, **other})


def near(
    method: str,  # as in method.name
    against: Golden | str,  # or SECOND
    what: str,  # logits, loss, gradient, step 1, step 3, or any other noun
    found: Any,  # tensors or arrays of one shape
    expected: Any,
    *,
    atol: float,
    rtol: float = 0.0,
) -> None:
    """Refuse a difference beyond the tolerances; tell the largest, whether they hold or not.

    Recorded arrays without a name, such as `dict(golden(name))`, raise AttributeError when told.
    """
    ours, theirs = (torch.as_tensor(x).detach() for x in (found, expected))
    if path := os.environ.get(TELL):
        test = os.environ["PYTEST_CURRENT_TEST"].partition("[")[0].partition(" ")[0]
        file = against if isinstance(against, str) else against.name
        line = {"method": method, "file": file, "what": what, "test": test}
        with Path(path).open("a", encoding="utf-8") as lines:
            print(json.dumps(line | {"difference": largest(ours, theirs)}), file=lines)
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=rtol)


def largest(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest absolute difference; infinite where shapes or finite numbers differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    found = (ours.double() - theirs.double()).abs().max().item()
    return found if found == found else float("inf")
