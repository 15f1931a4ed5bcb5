"""Recorded trajectories: files, their worlds, and their parameters under our names."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from agreement import Golden
from tiny import golden

from pfedmma_dist.federation.plan_file import Named, Steps, Visit, text_of
from pfedmma_dist.methods.fedotp import FedOTPOptions
from pfedmma_dist.methods.fedpgp import FedPGPOptions
from pfedmma_dist.methods.pfedmma import PFedMMAOptions
from pfedmma_dist.methods.pfedmoap import PFedMoAPOptions
from pfedmma_dist.methods.promptfl import PromptFLOptions

NAMES = (
    "face", "leopard", "crocodile head", "yin yang", "windsor chair", "leopard face", "chair",
    "head",
)  # fmt: skip
ROUNDS, BATCH = 5, 4

Flat = dict[str, np.ndarray]
"""Name of one of our parameters -> its numbers."""


@dataclass(frozen=True)
class Loop:
    """How a published loop is set up, in our words."""

    method: str
    options: Any
    clients: str = "world"
    files: tuple[str, ...] = ("all", "half")
    on_all: bool = False  # one test, on all test images
    own: Callable[[str], str] | None = None  # our name -> theirs, where a parameter is one array


def _adapter(name: str) -> str:
    """Return the authors' name of an adapter's parameter."""
    part, level, tower, bias = re.fullmatch(
        r"(\w+)\.(\d+)(?:\.(image|text))?(\.bias)?", name
    ).groups()
    leaf, layer = "bias" if bias else "weight", int(level) + 3
    if part == "mix":
        return f"adapter_learner.shared_adapter.{layer}.0.{leaf}"
    side = {"image": "visual", "text": "text"}[tower]
    return (
        f"adapter_learner.{side}_adapter.{layer}.{ ({'down': 'down.0', 'up': 'up'}[part]) }.{leaf}"
    )


def _gate(name: str) -> str:
    """Return the authors' name of a parameter of the mixture."""
    if name == "context":
        return "prompt_learner.ctx"
    _, layer, *bias = name.split(".")
    return f"gating.W_{layer[0]}.{bias[0] if bias else 'weight'}"


PGP = {"sigma": "prompt_learner.sigma", "u": "prompt_learner.U", "v": "prompt_learner.V"}
CONTEXT = {"context": "prompt_learner.ctx"}.__getitem__
PLAIN = PromptFLOptions()
LOOPS = {
    "pfedmma": Loop(
        "pfedmma", PFedMMAOptions(blocks=2, rank=4, alpha=0.1, bias=True),
        files=("all", "allcosine", "half"), own=_adapter,
    ),
    "fedpgp": Loop("fedpgp", FedPGPOptions(bottleneck=4), own=PGP.__getitem__),
    "fedotp": Loop("fedotp", FedOTPOptions(max_iter=30, threshold=0.0)),
    "promptfl": Loop("promptfl", PLAIN, own=CONTEXT),
    "promptfl6": Loop("promptfl", PLAIN, "world6", ("all",), own=CONTEXT),
    "promptfl_own": Loop("promptfl", PLAIN, files=("all",), on_all=True, own=CONTEXT),
    "pfedmoap": Loop(
        "pfedmoap",
        PFedMoAPOptions(num_experts=2, gate_width=8, heads=4, gate_lr_scale=1.0),
        files=("all", "halfguard"), own=_gate,
    ),
}  # fmt: skip
FILES = {f"{name}_{setting}": loop for name, loop in LOOPS.items() for setting in loop.files}
"""Name of a file -> the loop that it is of."""


@functools.cache
def world(name: str) -> Golden:
    """Return the images, and who has which."""
    return golden(f"trajectories/{name}")


@functools.cache
def arrays(file: str) -> Golden:
    """Return the arrays of a trajectory."""
    return golden(f"trajectories/{file}")


def variants(file: str) -> list[str]:
    """Return the recorded variants."""
    return [key.removesuffix("/shared") for key in arrays(file) if key.endswith("/shared")]


def owned(rows: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each client of a padded table."""
    return [np.sort(own[own >= 0]).astype(np.int64) for own in rows]


def start(file: str) -> Flat:
    """Return what every client starts from."""
    return _ours(file, {k.removeprefix("init/"): v for k, v in arrays(file).items() if "init" in k})


def trained(file: str, variant: str, index: int, client: int) -> Flat:
    """Return a client's numbers after its training of a round."""
    prefix = f"{variant}/trained/"
    found = {k.removeprefix(prefix): v for k, v in arrays(file).items() if k.startswith(prefix)}
    return _ours(file, {name: values[index, client] for name, values in found.items()})


def _ours(file: str, theirs: Flat) -> Flat:
    loop = FILES[file]
    if loop.own is None:
        common, own = theirs["prompt_learner.ctx"]
        return {"common": common, "own": own}
    return _Renamed(loop.own, theirs)


class _Renamed(dict):
    def __init__(self, name: Callable[[str], str], theirs: Flat) -> None:
        super().__init__(theirs)
        self.name = name

    def __getitem__(self, key: str) -> np.ndarray:
        return super().__getitem__(self.name(key))


def of_variant(file: str, variant: str, what: str) -> np.ndarray:
    """Return an array of a variant, that of `off` where it is the same."""
    found = arrays(file)
    return found[f"{variant}/{what}"] if f"{variant}/{what}" in found else found[f"off/{what}"]


def visits(file: str, variant: str) -> Iterator[Visit]:
    """Yield who was visited, and on what it trained."""
    order, rows = (of_variant(file, variant, what) for what in ("order", "rows"))
    for index, clients in enumerate(order.tolist()):
        for client in clients:
            if client >= 0:
                yield Visit(0, index, client, _steps(rows[index, client]))


def _steps(rows: np.ndarray) -> Steps:
    kept = [own.astype(np.int64) for own in rows if (own >= 0).all()]
    return [(own, np.zeros_like(own)) for own in kept]


def write_plan(file: str, variant: str, path: Path) -> Path:
    """Write the recorded batches as a plan, and return its path."""
    of = world(FILES[file].clients)
    labels = of["labels"]
    named = [Named(0, n, f"noise/{n}", NAMES[label]) for n, label in enumerate(labels)]
    lines = text_of(ROUNDS, len(of["clients"]), len(labels), named, visits(file, variant))
    path.write_text("".join(lines), encoding="utf-8")
    return path
