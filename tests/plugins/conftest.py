"""Plugins on a disk, and registries that are after a test as they were before it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from registries import as_they_were

METHOD = '''
"""A method of a test."""
from pfedmma_dist.methods import register
from pfedmma_dist.methods.promptfl import PromptFL

@register
class Mine(PromptFL):
    """Mine: PromptFL by another name."""

    name = "{name}"
'''


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """Forget at the end what a test has registered and imported."""
    with as_they_were():
        yield


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a plugin's file; without a text, one that registers a method."""

    def write(name: str = "mine.py", text: str = "", method: str = "mine") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or METHOD.format(name=method))
        return path

    return write
