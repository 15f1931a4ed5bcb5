"""Fixtures for all tests; the tiny CLIP and the tiny federations are functions, in tiny.py."""

from collections import Counter
from collections.abc import Iterator
from copy import copy

import pytest
import torch
from golden_clip import frozen
from heavy import rank
from pairs import thinned
from restored import Process

from pfedmma_dist.clip.model import FrozenCLIP

torch.set_num_threads(1)
BEFORE = Process.now()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out cases whose values meet in others (`pairs`), and put the heaviest files first, then
    those of most tests; a file's own tests keep their order.

    Workers take files in this order.
    """
    kept, left_out = thinned(items)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (rank(item.path), -sizes[item.path]))


@pytest.fixture(params=["shortcuts", "plain"])
def golden_clip(request: pytest.FixtureRequest) -> FrozenCLIP:
    """A copy of the golden CLIP, with every shortcut and in the plain form."""
    return copy(frozen(plain=request.param == "plain"))


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Leave the process to the next test as it was before the first."""
    yield
    BEFORE.restore()
