"""Plugins on a disk, and registries that are after a test as they were before it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pfedmma_dist import plugins
from pfedmma_dist.config.ruled import RULES
from pfedmma_dist.data.sets import registry
from pfedmma_dist.methods import METHODS

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
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget at the end what a test has registered and imported."""
    tables: list[dict] = [METHODS, registry.SOURCES, RULES, plugins._loaded]
    before, modules, path = [dict(table) for table in tables], {*sys.modules}, [*sys.path]
    plugins._entry_points.cache_clear()
    yield
    for table, was in zip(tables, before, strict=True):
        table.clear()
        table.update(was)
    for name in {*sys.modules} - modules:
        if name.startswith(("mine", "other", "broken", "lab_", "own_")):
            del sys.modules[name]
    sys.path[:] = path
    plugins._entry_points.cache_clear()


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a plugin's file; without a text, one that registers a method."""

    def write(name: str = "mine.py", text: str = "", method: str = "mine") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or METHOD.format(name=method))
        return path

    return write
