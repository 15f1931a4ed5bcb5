"""Which run a configuration is: its digest and folder, and whether another one is the same run.

All of it follows from what the keys mean. A digest is made of departures from the defaults, so that
a key that is added later, with a default that changes nothing, changes no name.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.meaning import MEANING, Meaning
from pfedmma_dist.config.merge import Methods, leaves, plain, shown
from pfedmma_dist.config.ruled import OPTIONS, RULES

METHOD = "method."
"""Beginning of the keys of the method: its name and the options of its own."""

Flat = Mapping[str, Any]
"""Dotted key -> plain value, enums by name."""


def flat(config: Config) -> dict[str, Any]:
    """Return the configuration as dotted key -> plain value."""
    found: dict[str, Any] = {}
    for name, value in _tree(config).items():
        inside = value if isinstance(value, dict) else {"": value}
        found |= {f"{name}.{key}".rstrip("."): item for key, item in inside.items()}
    options = found.pop(OPTIONS)
    return found | {f"{OPTIONS}.{key}": item for key, item in options.items()}


def defaults(method: str, methods: Methods, rule: str | None = None) -> dict[str, Any]:
    """Return the defaults of all keys and of the options of a method, and of a rule of a plugin."""
    options = dict(leaves(methods[method].Options, METHOD))
    if rule in RULES:
        options.update(leaves(RULES[rule].Options, f"{OPTIONS}."))
    known = {key: x for key, x in leaves(Config).items() if key not in ("method", OPTIONS)}
    found = {key: plain(leaf.default) for key, leaf in {**known, **options}.items()}
    return {**found, f"{METHOD}name": Config().method["name"]}


def meaning(key: str) -> Meaning:
    """Return what a dotted key means; a method's option decides the numbers."""
    return _meaning(Config, key)


@cache
def _meaning(schema: type, key: str) -> Meaning:
    leaf = leaves(schema).get(key)
    return leaf.metadata.get(MEANING, Meaning()) if leaf else Meaning()


def counted(key: str, value: Any) -> Any:
    """Return what a value counts as."""
    return meaning(key).counts_as.get(value, value) if isinstance(value, str | int) else value


def identity(config: Config) -> dict[str, Any]:
    """Return all that decides the numbers of a run and their bits: what its state belongs to."""
    values = flat(config)
    return {key: counted(key, x) for key, x in values.items() if meaning(key).decides(values)}


def digest(config: Config, methods: Methods) -> str:
    """Return 8 hexadecimal digits; configurations that compute the same have the same.

    A null that leaves a choice to the program counts as null, whatever is chosen.
    """
    usual = defaults(config.method["name"], methods, config.server.rule)
    departures = {
        key: value
        for key, value in identity(config).items()
        if value != counted(key, usual.get(key))
    }
    return _hash(departures)


def digest_of_format_0(config: Config, methods: Methods) -> str | None:
    """Return the digest that runs of format 0 are called by; None for what they could not be.

    It was made of all keys but `run`, places and memory included.
    """
    tree = _tree(config)
    del tree["run"]
    for (section, name), usual, told in _since_format_0(
        Config, methods[config.method["name"]].Options
    ):
        keys = tree.get(section, {}) if section else tree
        if told.since > 0 and keys.pop(name, usual) != usual:
            return None
        if keys.get(name, told) is None:
            keys[name] = told.was
    return _hash({name: section for name, section in tree.items() if section != {}})


@cache
def _since_format_0(schema: type, options: type) -> list[tuple[tuple[str, str], Any, Meaning]]:
    """Return ((section, name), default, meaning) of the keys that were not there in format 0, or
    had another default."""
    found = []
    for key, leaf in {**leaves(schema), **leaves(options, METHOD)}.items():
        told = leaf.metadata.get(MEANING, Meaning())
        if told.since > 0 or told.was is not None:
            section, _, name = key.rpartition(".")
            found.append(((section, name), plain(leaf.default), told))
    return found


def run_folder(config: Config, methods: Methods) -> Path:
    """Return the folder of the run: the one asked for, or one named after the configuration.

    A run of format 0 that has begun under the name of its time keeps it.
    """
    if config.run.folder:
        return Path(config.run.folder).expanduser()
    stem = Path("runs") / f"{config.data.name}-{config.method['name']}"
    path = stem.with_name(f"{stem.name}-{digest(config, methods)}")
    older = stem.with_name(f"{stem.name}-{digest_of_format_0(config, methods)}")
    return older if older.is_dir() and not path.exists() else path


def differences(saved: Flat, wanted: Flat, usual: Flat) -> list[tuple[str, Any, Any]]:
    """Return (key, saved, wanted) of each key that makes `wanted` another run than `saved`.

    usual: defaults, which stand for what an older program did not write down. What lies at a place
    is not looked at here.
    """
    found = []
    for key in dict.fromkeys([*saved, *wanted]):
        told = meaning(key)
        was, now = (one.get(key, usual.get(key)) for one in (saved, wanted))
        left_open = told.is_open and now is None
        decides = told.decides(wanted) and not told.by_content
        if decides and counted(key, was) != counted(key, now) and not left_open:
            found.append((key, was, now))
    return found


def moved(saved: Flat, wanted: Flat) -> list[tuple[str, Any, Any]]:
    """Return (key, saved, wanted) of the differences that leave the run the same."""
    return [
        (key, saved[key], now)
        for key, now in wanted.items()
        if key in saved and saved[key] != now and not (meaning(key).is_open and now is None)
        and (meaning(key).by_content or not meaning(key).decides(wanted))
    ]  # fmt: skip


def refuse_unread(config: Config, section: str) -> None:
    """Refuse keys of a section that depart from their defaults where nothing reads them."""
    values = flat(config)
    for key, leaf in leaves(Config).items():
        told, given = meaning(key), values.get(key)
        departs = key.startswith(f"{section}.") and told.refused and given != plain(leaf.default)
        if departs and not told.is_read(values):
            raise ValueError(
                f"{key}: {shown(given)} has no effect, as it is read at {told.where} alone; set "
                f"that, or leave {key} out"
            )


def open_keys() -> list[str]:
    """Return the keys whose null leaves the choice to the program."""
    return [key for key in leaves(Config) if meaning(key).is_open]


def _tree(config: Config) -> dict[str, Any]:
    """Return the configuration as sections of plain values.

    OmegaConf's own conversion gives the same, and takes a second for the runs of a large sweep.
    """
    found: dict[str, Any] = {}
    for name, section in vars(config).items():
        if isinstance(section, dict):
            found[name] = {key: plain(value) for key, value in section.items()}
        elif is_dataclass(section):
            floats = _floats(Config, f"{name}.")
            found[name] = {
                key: _typed(value, key in floats) for key, value in vars(section).items()
            }
        else:
            found[name] = _typed(section, name in _floats(Config, ""))
    return found


@cache
def _floats(schema: type, prefix: str) -> set[str]:
    """Return the keys of a section, without its name, that hold any number."""
    known = leaves(schema).items()
    return {
        key.removeprefix(prefix)
        for key, leaf in known
        if key.startswith(prefix) and leaf.kind is float
    }


def _typed(value: Any, is_float: bool) -> Any:
    return float(value) if is_float and type(value) is int else plain(value)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
