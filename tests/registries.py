"""Registries that are afterwards as they were before, whatever plugins a test has imported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pfedmma_dist import plugins
from pfedmma_dist.config.ruled import RULES
from pfedmma_dist.data.sets import registry
from pfedmma_dist.methods import METHODS


@contextmanager
def as_they_were() -> Iterator[None]:
    """Forget at the end what is registered and imported meanwhile."""
    tables: list[dict] = [METHODS, registry.SOURCES, RULES, plugins._loaded]
    before, modules, path = [dict(table) for table in tables], {*sys.modules}, [*sys.path]
    plugins._entry_points.cache_clear()
    try:
        yield
    finally:
        for table, was in zip(tables, before, strict=True):
            table.clear()
            table.update(was)
        for name in {*sys.modules} - modules:
            if name.startswith(("mine", "other", "broken", "lab_", "own_")):
                del sys.modules[name]
        sys.path[:] = path
        plugins._entry_points.cache_clear()
