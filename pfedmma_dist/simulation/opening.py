"""Opening: what a program hands to `Simulation.open` becomes a configuration.

It is read as a command line is, from left to right, by the same code: the last value of a key wins,
and what is refused there is refused here, in the same words.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from pfedmma_dist.config.command_line import read, unread, with_default
from pfedmma_dist.config.documents import Layer
from pfedmma_dist.config.identity import defaults, flat, run_folder
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.words import OVERRIDE, file_layer, word_layer
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.spelling import hint, quoted

What = str | os.PathLike[str] | Mapping[str, Any] | Config
"""A file or preset, a `key=value` word, the folder of a run, dotted keys and their values, or a
whole configuration."""


def opened(what: Sequence[What], changes: Mapping[str, Any]) -> Config:
    """Return the configuration of all that is given, checked.

    changes: as keywords, with `__` for the dot.
    """
    items = [*what, *([dotted(changes)] if changes else [])]
    if not any(_is_file(item) or isinstance(item, Config) for item in items):
        words = [word for item in items for word in _words(item)]
        completed = with_default(words)
        items = [*completed[: len(completed) - len(words)], *items]
    config: Config = read(items, methods=METHODS, sources=SOURCES, layer_of=_layer)
    folders = [folder for folder in map(_run, items) if folder is not None]
    if len(folders) > 1:
        raise ValueError(f"{folders[0]} and {folders[1]} are two run folders; give one")
    for folder in folders:
        if run_folder(config, METHODS).resolve() != folder.resolve():
            config.run.folder = str(folder)
    return config


def unread_keys(what: Sequence[What], changes: Mapping[str, Any], config: Config) -> Iterable[str]:
    """Return what there is to say of keys that are given and that nothing will read."""
    given = words_of([each for each in what if isinstance(each, Mapping)])
    given += words_of([dotted(changes)])
    given += [item for item in what if isinstance(item, str) and OVERRIDE.fullmatch(item)]
    return unread(given, config).values()


def dotted(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords as dotted keys."""
    return {name.replace("__", "."): value for name, value in changes.items()}


def words_of(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return `key=value` words that name the same keys; values may be written otherwise."""
    return [word for each in mappings for word in _words(each)]


def _layer(item: What) -> Layer:
    """Return one item as a source of values."""
    if isinstance(item, Config):
        values, usual = flat(item), defaults(_method_of(item), METHODS, item.server.rule)
        name = "method.name"
        return _tree({k: x for k, x in values.items() if k == name or x != usual.get(k)})
    if isinstance(item, Mapping):
        return _tree(item)
    if not isinstance(item, str | os.PathLike):
        raise ValueError(
            f"{quoted(item)}: a {type(item).__name__} is no configuration; give the path of a file "
            "or of a run folder, key=value, a dict of dotted keys, or a Config"
        )
    folder = _run(item)
    if folder is not None:
        return file_layer(folder / "config.yaml")
    word = os.fspath(item)
    if isinstance(item, str):
        if os.path.isdir(word):
            raise ValueError(f"{word} is a folder without a config.yaml; give the folder of a run")
        return word_layer(word)
    if not os.path.isfile(word):
        raise ValueError(f"there is no file {word}")
    return file_layer(word)


def _method_of(config: Config) -> str:
    """Return the name of the method, known or not, which the layers are refused by."""
    name = str(config.method.get("name", ""))
    if name not in METHODS:
        raise ValueError(
            f"method.name: {quoted(name)} is unknown{hint(name, METHODS)}; "
            f"known: {', '.join(sorted(METHODS))}"
        )
    return name


def _tree(values: Mapping[str, Any]) -> Layer:
    """Return dotted keys, or sections of keys, and their values as a source of values."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = str(key).split(".")
        inside = tree
        for section in sections:
            inside = inside.setdefault(section, {})
            if not isinstance(inside, dict):
                raise ValueError(f"{section} is given as a value, and {key} wants it as a section")
        value = _plain(value)
        if isinstance(value, dict) and isinstance(inside.get(name), dict):
            inside[name].update(value)
        else:
            inside[name] = value
    return Layer("", tree)


def _plain(value: Any) -> Any:
    """Return a value as YAML would hold it: numpy's numbers, paths and enums are taken as well."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, Real) and not isinstance(value, int) else value


def _words(item: What) -> list[str]:
    """Return a row of words that names the same keys."""
    if isinstance(item, Mapping):
        return [f"{key}={value}" for key, value in _leaves(_tree(item).tree)]
    return [item] if isinstance(item, str) else []


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _run(item: What) -> Path | None:
    """Return the folder of a run, if it is one."""
    if not isinstance(item, str | os.PathLike):
        return None
    folder = Path(os.fspath(item)).expanduser()
    return folder if os.path.isfile(folder / "config.yaml") else None


def _is_file(item: What) -> bool:
    """Whether it is read from the disk: then no presets are put before it."""
    return isinstance(item, os.PathLike) or _run(item) is not None
