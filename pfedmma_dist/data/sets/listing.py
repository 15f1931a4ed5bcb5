"""Listing: images by name, as a reader found them, numbered, with the checks all must pass."""

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.account import CLASS, VAL
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.names import prompt_names
from pfedmma_dist.data.sets.paths import caseless, slashed
from pfedmma_dist.data.sets.presence import check_paths, on_disk
from pfedmma_dist.spelling import control_in, quoted

log = logging.getLogger(__name__)

PARTS = (Part.train, Part.test, Part.val)
"""In the order of rows; the last is read where `data.validation` asks for it."""


def to_images(
    entries: Iterable[Entry],
    root: Path,
    source: Path,
    cfg: DataConfig,
    names: Sequence[str] | None = None,
    published: Mapping[str, str] = MappingProxyType({}),
    left: Mapping[str, str] = MappingProxyType({}),
    home: str = "",
    *,
    by_path: bool = False,
    tested_only: bool = False,
) -> Images:
    """Number the entries of the chosen classes, part by part, or say what is wrong where.

    root: the image folder. source: the file or folder that the entries come from. names: classes in
    the order of their labels; None sorts those that there are. published: see `prompt_names`. left,
    home: see `Files`. by_path: entries come sorted by path, and shall be so by what they are called
    on disk. tested_only: no class has a training image.
    """
    entries = list(entries)
    label_of, titles = prompt_names(
        sorted({entry.name for entry in entries}) if names is None else names,
        cfg,
        source,
        published,
    )
    kinds = PARTS if cfg.validation else PARTS[:2]
    parts = [
        [entry for entry in entries if entry.part is part and entry.name in label_of]
        for part in kinds
    ]
    sizes = list(map(len, parts))
    listed = list(chain(*parts))
    used = check_paths(listed, root, source, by_path=by_path, sizes=sizes)
    unused = _unused(entries, label_of, kinds) if len(used) < len(entries) else {}
    if unused and {slashed(entry.path) for entry in listed} != {e.path for e in used}:
        unused = dict(zip(on_disk(unused, root), unused.values(), strict=True))
    entries = used
    ends = np.cumsum([0, *sizes])
    train, test = (entries[slice(*ends[place : place + 2])] for place in (0, 1))
    labels = np.array([label_of[entry.name] for entry in entries], np.int64)
    _refuse_empty_classes(labels[: ends[2]], train, test, titles, source, tested_only=tested_only)
    domains, domain_names = _numbered(entries, lambda entry: entry.domain)
    owners, owner_names = _numbered(entries, lambda entry: entry.client)
    domain_names, owner_names = (
        tuple(map(_writable, names)) for names in (domain_names, owner_names)
    )
    _refuse_odd_names("domain", domain_names, source)
    _refuse_odd_names("client", owner_names, source)
    _warn_of_alike("domains", domain_names, source)
    _warn_of_alike("clients", owner_names, source)
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
        rows[: ends[1]],
        rows[ends[1] : ends[2]],
        domains=domains,
        domain_names=domain_names,
        owners=owners,
        owner_names=owner_names,
        val=rows[ends[2] :],
    )


def _unused(
    entries: Iterable[Entry], chosen: Container[str], kinds: Container[Part]
) -> dict[str, str]:
    """Return the path of each entry that no part holds, and why that is so."""
    return {
        slashed(entry.path): VAL if entry.name in chosen else CLASS
        for entry in entries
        if entry.part not in kinds or entry.name not in chosen
    }


def _refuse_empty_classes(
    labels: np.ndarray, train: list[Entry], test: list[Entry], titles: Sequence[str], source: Path,
    *, tested_only: bool,
) -> None:  # fmt: skip
    """Name the first class that lacks training or test images."""
    halves = {"training": labels[: len(train)], "test": labels[len(train) :]}
    if tested_only:
        del halves["training"]
    for kind, own in halves.items():
        empty = np.flatnonzero(np.bincount(own, minlength=len(titles)) == 0)
        if len(empty) == 0:
            continue
        where: str | Path = source
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


def _warn_of_alike(what: str, names: Sequence[str], source: Path) -> None:
    """Name two that are told apart, and may well be one: differences nobody makes on purpose."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(" ".join(caseless(name).replace("_", " ").split()), name)
        if other != name:
            log.warning(
                "data.root: %s has the %s %s and %s, which differ in spelling alone and count as "
                "two; write them alike if they are one",
                source, what, ascii(other), ascii(name),
            )  # fmt: skip
            return


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
