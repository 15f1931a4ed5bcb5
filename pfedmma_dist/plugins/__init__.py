"""Plugins: modules of one's own that a configuration names, imported before the rest is resolved.

A plugin registers methods, data sets and rules of the server (`methods.register`,
`data.sets.registry.register`, `exchange.rules.register`). It is named as Python imports it,
`my_lab.methods`, or by its file, `my_lab/methods.py`, which is made absolute, since a job may run
elsewhere. What it has registered is known where a configuration lists it, and nowhere else in the
same process, so that a file of keys says all that it needs. An installed package may announce what
it has by an entry point: that is imported, and listed, once something asks for its name.
"""

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pfedmma_dist.plugins.code import KEY, Record, sources
from pfedmma_dist.plugins.importing import imported, is_path, located, not_there

__all__ = ["KEY", "Plugin", "Record", "load"]

Tables = Mapping[str, Mapping[str, Any]]
"""Key that names something, `method.name` -> name -> what it is: the registries, as they grow."""


@dataclass(frozen=True)
class Plugin:
    """A module that was imported."""

    word: str  # its name, or the absolute path of its file
    files: Mapping[str, str]  # of its package as far as that is loaded -> sha256 of the source
    names: Mapping[str, frozenset[str]]  # key -> names that it has registered

    @property
    def title(self) -> str:
        """Return what messages call it: a file without its folders."""
        return Path(self.word).name if is_path(self.word) else self.word

    @property
    def digest(self) -> str:
        """Return 12 hexadecimal digits of the source, whatever its files are called."""
        return hashlib.sha256("".join(sorted(self.files.values())).encode()).hexdigest()[:12]


GROUPS = {
    "method.name": "pfedmma_dist.methods",
    "data.name": "pfedmma_dist.datasets",
    "server.rule": "pfedmma_dist.exchanges",
}
"""Key -> the group of entry points of what it names."""

_loaded: dict[str, Plugin] = {}  # by word; as Python's own table of modules, one for the process


def load(words: Iterable[str], tables: Tables) -> list[str]:
    """Import what is not imported yet, and return the words with absolute paths.

    ValueError where there is no such module or file, or it cannot be imported.
    """
    found = [located(word) for word in words]
    for word in dict.fromkeys(found):
        if word not in _loaded:
            before = {key: set(table) for key, table in tables.items()}
            module = imported(word)
            names = {
                key: frozenset(
                    name
                    for name, one in table.items()
                    if name not in before[key]
                    or getattr(one, "__module__", None) == module.__name__
                )
                for key, table in tables.items()
            }
            _loaded[word] = Plugin(word, sources(module), names)
    return found


def visible(words: Sequence[str], tables: Tables) -> Tables:
    """Return the tables without what plugins have registered that are none of `words`."""
    found = {}
    for key, table in tables.items():
        ours = _names_of(key, words)
        hidden = _names_of(key, _loaded) - ours
        found[key] = {k: v for k, v in table.items() if k not in hidden} if hidden else table
    return found


def announced(key: str, name: str) -> str | None:
    """Return the module whose entry point says that it has what a key names; None where none does.

    Which group it stands in: GROUPS.
    """
    return next((point.module for point in _entry_points(key) if point.name == name), None)


def announcements(key: str) -> list[str]:
    """Return what installed packages announce for a key, a line each; nothing is imported."""
    return [f"  {point.name}  ({point.module})\n" for point in _entry_points(key)]


def idle(words: Iterable[str]) -> list[str]:
    """Return the titles of plugins that have registered nothing."""
    return [_loaded[word].title for word in words if not any(_loaded[word].names.values())]


def record(words: Iterable[str]) -> Record:
    """Return what is written down about plugins that are loaded."""
    return [
        {"name": one.title, "digest": one.digest, "files": dict(one.files)}
        for one in map(_loaded.__getitem__, words)
    ]


def folders(words: Iterable[str]) -> list[str]:
    """Return the folders that a job needs on its path to find the modules among these plugins.

    Installed packages are found without. Nothing is imported.
    """
    found = []
    for word in words:
        if not is_path(word):
            spec = importlib.util.find_spec(word.partition(".")[0])
            if spec is None:
                raise ValueError(not_there(word, word))
            file = next(iter(spec.submodule_search_locations or ()), spec.origin or "")
            found.append(str(Path(file).absolute().parent))
    return [one for one in dict.fromkeys(found) if "site-packages" not in Path(one).parts]


def _names_of(key: str, words: Iterable[str]) -> set[str]:
    return {name for word in words for name in _loaded[word].names.get(key, ())}


@cache
def _entry_points(key: str) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUPS[key]), key=lambda point: point.name))
