"""Listing: images by name, as a reader found them, and the checks that all of them must pass.

Links are followed: what a user has linked into a folder belongs to it. Names from lists are not
trusted that far, so an absolute path, or one that climbs out with `..`, is refused.
"""

import os
import posixpath
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.account import CLASS, VAL
from pfedmma_dist.data.sets.names import prompt_names
from pfedmma_dist.spelling import control_in, quoted


class Part(Enum):
    """What an image is for; `val` images are left out."""

    train = "train"
    val = "val"
    test = "test"


class Entry(NamedTuple):
    """One image, by name."""

    path: str  # relative to the image folder, with forward slashes
    name: str  # of its class, as the source spells it
    part: Part | None  # None: yet to be drawn
    domain: str = ""
    client: str = ""
    file: Path | None = None  # the list that names it
    line: int = 0  # in that list; 0: it has no lines

    @property
    def place(self) -> str:
        """Say where it is listed."""
        if self.file is None:
            return self.path
        return f"{self.file}, line {self.line}" if self.line else f"{self.file}: {self.path}"


def to_images(
    entries: Iterable[Entry],
    root: Path,
    source: Path,
    cfg: DataConfig,
    names: Sequence[str] | None = None,
    published: Mapping[str, str] = MappingProxyType({}),
    left: Mapping[str, str] = MappingProxyType({}),
    home: str = "",
) -> Images:
    """Number the entries of the chosen classes, training ones first, or say what is wrong where.

    root: the image folder. source: the file or folder that the entries come from. names: classes in
    the order of their labels; None sorts those that there are. published: see `prompt_names`. left,
    home: see `Files`.
    """
    entries = list(entries)
    label_of, titles = prompt_names(
        sorted({entry.name for entry in entries}) if names is None else names,
        cfg,
        source,
        published,
    )
    train, test = (
        [entry for entry in entries if entry.part is part and entry.name in label_of]
        for part in (Part.train, Part.test)
    )
    unused = _unused(entries, label_of) if len(train) + len(test) < len(entries) else {}
    entries = check_paths(train + test, root, source)
    labels = np.array([label_of[entry.name] for entry in entries], np.int64)
    _refuse_empty_classes(labels, train, test, titles, source)
    domains, domain_names = _numbered(entries, lambda entry: entry.domain)
    owners, owner_names = _numbered(entries, lambda entry: entry.client)
    domain_names, owner_names = (
        tuple(map(_writable, names)) for names in (domain_names, owner_names)
    )
    _refuse_odd_names("domain", domain_names, source)
    _refuse_odd_names("client", owner_names, source)
    rows = np.arange(len(entries), dtype=np.int64)
    return Images(
        Files(
            root,
            tuple(entry.path for entry in entries),
            home,
            "" if source == root else str(source),
            {**unused, **left},
        ),
        labels,
        titles,
        rows[: len(train)],
        rows[len(train) :],
        domains=domains,
        domain_names=domain_names,
        owners=owners,
        owner_names=owner_names,
    )


def check_paths(entries: Iterable[Entry], root: Path, source: Path) -> list[Entry]:
    """Return the entries with tidy paths; each must exist below `root`, and stand there once."""
    entries = [_inside(entry) for entry in entries]
    _refuse_duplicates(entries)
    if source != root:  # else the entries were found there
        _refuse_missing(entries, root, source)
    return entries


def _unused(entries: Iterable[Entry], chosen: Container[str]) -> dict[str, str]:
    """Return the path of each entry that no half holds, and why that is so."""
    return {
        posixpath.normpath(entry.path): VAL if entry.name in chosen else CLASS
        for entry in entries
        if entry.part is Part.val or entry.name not in chosen
    }


def _inside(entry: Entry) -> Entry:
    """Return the entry with a tidy path, if that stays below the image folder."""
    if "\0" in entry.path:
        raise ValueError(f"data.root: {entry.file}: {quoted(entry.path)} holds NUL; no path does")
    path = posixpath.normpath(entry.path)
    if posixpath.isabs(path) or path == ".." or path.startswith("../"):
        raise ValueError(
            f"data.root: {entry.place}: {entry.path} leads out of the image folder; write paths "
            "relative to it"
        )
    return entry if path == entry.path else entry._replace(path=path)


def _refuse_empty_classes(
    labels: np.ndarray, train: list[Entry], test: list[Entry], titles: Sequence[str], source: Path
) -> None:
    """Name the first class that lacks training or test images."""
    halves = {"training": labels[: len(train)], "test": labels[len(train) :]}
    for kind, own in halves.items():
        empty = np.flatnonzero(np.bincount(own, minlength=len(titles)) == 0)
        if len(empty) == 0:
            continue
        where = source
        if kind == "training":  # then it is a test image that is too many
            where = next(
                (e.place for e, label in zip(test, halves["test"], strict=True) if label in empty),
                source,
            )
        raise ValueError(
            f"data.root: {source} has no {kind} image of {len(empty)} of {len(titles)} classes, "
            f"the first is {titles[empty[0]]!r}"
            + (f"; see {where}" if where != source else "")
            + "; add images, or leave these classes out"
        )


def _refuse_duplicates(entries: Sequence[Entry]) -> None:
    """Name the first path that stands twice, and both places."""
    if len({entry.path for entry in entries}) == len(entries):
        return
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.path, entry)
        if other is not entry:
            raise ValueError(
                f"data.root: {entry.path} is listed twice, at {other.place} as {other.name!r} and "
                f"at {entry.place} as {entry.name!r}; keep one of them"
            )


def _refuse_missing(entries: Sequence[Entry], root: Path, source: Path) -> None:
    """Name the first path that does not exist; each folder is listed once, no file is asked for."""
    listed: dict[str, set[str]] = {}
    missing = []
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        if folder not in listed:
            inside = root / folder
            listed[folder] = set(os.listdir(inside)) if inside.is_dir() else set()
        if name not in listed[folder]:
            missing.append(entry)
    if missing:
        raise ValueError(
            f"data.root: {source} names {len(entries)} images, of which {len(missing)} are not in "
            f"{root}, the first is {missing[0].path} ({missing[0].place}); complete the folder, or "
            "correct the list"
        )


def _writable(name: str) -> str:
    """Return the name of a folder, which need not be UTF-8, as text that a table can hold."""
    return name.encode("utf-8", "backslashreplace").decode()


def _refuse_odd_names(what: str, names: Sequence[str], source: Path) -> None:
    """Name the first name that a table of results cannot hold."""
    for name in names:
        held = control_in(name)
        if held is not None:
            raise ValueError(
                f"data.root: {source} has a {what} {quoted(name)}, which holds {held}; rename it"
            )


def _numbered(
    entries: Sequence[Entry], key: Callable[[Entry], str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the position of each entry's key among the sorted keys, and these; None without."""
    keys = [key(entry) for entry in entries]
    names = sorted(set(keys) - {""})
    if not names:
        return None, ()
    position = {name: place for place, name in enumerate(names)}
    return np.array([position[key] for key in keys], np.int64), tuple(names)
