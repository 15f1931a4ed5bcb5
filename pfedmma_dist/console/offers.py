"""Offers: keys, their values, presets, run folders and files that begin as a word does.

The shell asks at each press of a key, so what a word needs is imported where it is needed.
"""

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

METHOD = "method."
CLUSTERS = "slurm"


def values(current: str, before: list[str]) -> list[str]:
    """Return the assignments that `key=beg` may become."""
    from pfedmma_dist.config.keys import Config
    from pfedmma_dist.config.limits import LIMIT, PATH
    from pfedmma_dist.config.merge import leaves, members

    key, _, begun = current.partition("=")
    if key == "method.name":
        found: Iterable[str] = _methods()
    elif key == "data.name":
        found = _sets()
    else:
        known = {**leaves(Config), **_options(before)}
        leaf = known.get(key)
        if leaf is None:
            return []
        if leaf.metadata.get(LIMIT) is PATH:
            return [f"{key}={path}" for path in paths(begun)]
        found = members(leaf.kind) or (["true", "false"] if leaf.kind is bool else [])
    return [f"{key}={value}" for value in found if value.startswith(begun)]


def keys(current: str, before: list[str]) -> list[str]:
    """Return sections, then the keys of one, and files of keys."""
    from pfedmma_dist.config.keys import Config
    from pfedmma_dist.config.merge import leaves

    known = [key for key in leaves(Config) if key not in ("method", "server.options")]
    known += ["method.name", *(_options(before) if current.startswith(METHOD) else ())]
    found = [f"{key}=" for key in known if key.startswith(current)]
    if "." not in current:
        found = [word.partition(".")[0] + "." if "." in word else word for word in found]
    return [*dict.fromkeys(found), *presets(current, before)]


def presets(current: str, before: list[str]) -> list[str]:
    """Return the YAML files that come with us, and those that are there."""
    from pfedmma_dist.config.presets import FOLDER, installed

    ours = [str(FOLDER / file.relative_to(installed())) for file in installed().rglob("*.yaml")]
    return _files(current, ours, ".yaml")


def sweeps(current: str, before: list[str]) -> list[str]:
    """Return the sweeps that come with us, and YAML files that are there."""
    from pfedmma_dist.config.presets import FOLDER, installed

    folder = FOLDER / "sweep"
    ours = [str(folder / file.name) for file in (installed() / "sweep").glob("*.yaml")]
    return _files(current, ours, ".yaml")


def clusters(current: str, before: list[str]) -> list[str]:
    """Return the cluster files that come with us, and YAML files that are there."""
    package = Path(__file__).parents[1]
    ours = package / CLUSTERS if (package / CLUSTERS).is_dir() else package.parent / CLUSTERS
    return _files(current, [f"{CLUSTERS}/{file.name}" for file in ours.glob("*.yaml")], ".yaml")


def run(current: str, before: list[str]) -> list[str]:
    """Return run folders, and folders on the way to some."""
    return _folders(current, ("config.yaml",))


def runs(current: str, before: list[str]) -> list[str]:
    """Return folders of runs and sweeps, and folders on the way to some."""
    return _folders(current, ("config.yaml", "sweep.csv"))


def sets(current: str, before: list[str]) -> list[str]:
    """Return the names of the data sets."""
    return [name for name in _sets() if name.startswith(current)]


def images(current: str, before: list[str]) -> list[str]:
    """Return any files."""
    return paths(current)


def paths(current: str, ending: str = "") -> list[str]:
    """Return the folders, with a / behind them, and the files of an ending that begin so."""
    begin = os.path.expanduser(current)
    found = []
    for path in sorted(glob.glob(glob.escape(begin) + "*")):
        shown = current + path[len(begin) :]
        if os.path.isdir(path):
            found.append(f"{shown}/")
        elif path.endswith(ending):
            found.append(shown)
    return found


OFFERS: dict[str, Callable[[str, list[str]], list[str]]] = {
    "keys": keys,
    "run": run,
    "runs": runs,
    "sweep": sweeps,
    "clusters": clusters,
    "sets": sets,
    "images": images,
}
"""What a command takes -> what is offered for a word of it, given the words before."""


def _files(current: str, ours: list[str], ending: str) -> list[str]:
    """Return files of ours, folder by folder, and those that are there."""
    found = set(paths(current, ending))
    for path in ours:
        if path.startswith(current):
            head, slash, _ = path[len(current) :].partition("/")
            found.add(current + head + slash)
    return sorted(found)


def _folders(current: str, marks: tuple[str, ...]) -> list[str]:
    """Return folders; one that holds a file of these names is whole and has no / behind it."""
    found = []
    for path in paths(current):
        if path.endswith("/"):
            place = os.path.expanduser(path)
            is_whole = any(os.path.isfile(place + mark) for mark in marks)
            is_both = os.path.isfile(f"{place}sweep.csv")  # its runs may be meant, too
            found += [path.rstrip("/")] * is_whole + [path] * (is_both or not is_whole)
    return found


def _methods() -> list[str]:
    from pfedmma_dist.outline import outlines

    return list(outlines())


def _sets() -> list[str]:
    from pfedmma_dist.data.sets.registry import SOURCES

    return sorted(SOURCES)


def _options(before: list[str]) -> dict[str, Any]:
    """Return the options of the method that the words name, of all where none does."""
    from pfedmma_dist.config.merge import leaves
    from pfedmma_dist.outline import outlines

    known: Mapping[str, Any] = outlines()
    named = [word.partition("=")[2] for word in before if word.startswith("method.name=")]
    found: dict[str, Any] = {}
    for name in named[-1:] if named and named[-1] in known else known:
        found.update(leaves(known[name].Options, METHOD))
    return found
