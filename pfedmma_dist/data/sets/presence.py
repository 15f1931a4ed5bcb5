"""Presence: the paths of entries, each of which must be one file below the image folder.

Links are followed: what a user has linked into a folder belongs to it. Names from lists are not
trusted that far: one that leads out of the folder is refused. One that is not there letter by
letter is looked for by `paths.locate`, and what is found so is said.
"""

import logging
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from pfedmma_dist.data.sets.entry import Entry
from pfedmma_dist.data.sets.paths import (
    Disk,
    Found,
    Kind,
    is_of_windows,
    leads_out,
    locate,
    surplus,
)
from pfedmma_dist.spelling import quoted

log = logging.getLogger(__name__)


def check_paths(
    entries: Iterable[Entry],
    root: Path,
    source: Path,
    *,
    by_path: bool = False,
    sizes: Sequence[int] = (),
) -> list[Entry]:
    """Return the entries with paths as on disk; each must exist below `root`, and stand there once.

    by_path: sort each part by path, where any was spelled otherwise. sizes: of the parts, one after
    another; none where all are one.
    """
    entries, tidy = list(entries), []
    outside: set[int] = set()  # places of paths that lead out, or seem to
    for place, entry in enumerate(entries):
        path = posixpath.normpath(entry.path)
        if leads_out(path):
            outside.add(place)
        elif path != entry.path:
            entry = entry._replace(path=path)
        if "\0" in path:
            raise ValueError(
                f"data.root: {entry.file}: {quoted(entry.path)} holds NUL; no path does"
            )
        tidy.append(entry)
    _refuse_duplicates(tidy)
    if source == root:  # then the entries were found there
        return tidy
    disk = Disk(root)
    missing = _missing(tidy, outside, disk)
    if not missing:
        return tidy
    found = _located(tidy, {place: entries[place] for place in missing}, disk, source)
    if by_path:
        ends = [0, *accumulate(sizes or [len(found)])]
        parts = [found[begin:end] for begin, end in pairwise(ends)]
        found = [e for part in parts for e in sorted(part, key=lambda entry: entry.path)]
    _refuse_duplicates(found)
    return found


def on_disk(paths: Iterable[str], root: Path) -> list[str]:
    """Return paths as they are on disk, those that mean no file or several as they are."""
    disk = Disk(root)
    found = (
        [path] if disk.has(path) else [one.path for one in locate(path, disk)] for path in paths
    )
    return [own[0] if len(own) == 1 else path for own, path in zip(found, paths, strict=True)]


def _missing(entries: Sequence[Entry], outside: set[int], disk: Disk) -> list[int]:
    """Return the places of paths that are not there as written; no single file is asked for."""
    listed: dict[str, set[str]] = {}
    missing = []
    for place, entry in enumerate(entries):
        folder, _, name = entry.path.rpartition("/")
        if place in outside:
            missing.append(place)
            continue
        if folder not in listed:
            listed[folder] = disk.names(folder)
        if name not in listed[folder]:
            missing.append(place)
    return missing


def _located(
    entries: Sequence[Entry], missing: Mapping[int, Entry], disk: Disk, source: Path
) -> list[Entry]:
    """Return the entries, the missing ones as the files that their paths mean, or say why not.

    missing: those of some places, with the paths that the source gives them.
    """
    found, lost = list(entries), []
    firsts: dict[Kind, tuple[Entry, Found]] = {}
    counts = dict.fromkeys(Kind, 0)
    for place, entry in missing.items():
        match locate(entry.path, disk):
            case []:
                lost.append(entry)
            case [one]:
                found[place] = entry._replace(path=one.path)
                for kind in one.kinds:
                    counts[kind] += 1
                    firsts.setdefault(kind, (entry, one))
            case [one, other, *_]:
                raise ValueError(
                    f"data.root: {entry.place}: {entry.path} is not in {disk.root} as it is "
                    f"written, and {ascii(one.path)} and {ascii(other.path)} there are alike; "
                    "write the one that is meant"
                )
    if lost:
        _refuse_lost(lost, len(entries), disk, source)
    for kind, (entry, one) in firsts.items():
        log.warning(
            "data.root: %s: %d of %d paths were found only %s (the first is %s, on disk %s)",
            source, counts[kind], len(entries), kind.value, entry.path,
            ascii(one.path) if kind is Kind.form else one.path,
        )  # fmt: skip
    return found


def _refuse_lost(lost: Sequence[Entry], total: int, disk: Disk, source: Path) -> None:
    """Say of the first path that was not found where it leads, and what may mend all of them."""
    first = next((entry for entry in lost if _outside(entry.path, disk)), lost[0])
    head = surplus(first.path, disk)
    cut = f"cut '{head}' from their beginning" if head else ""
    if is_of_windows(first.path):
        raise ValueError(
            f"data.root: {first.place}: {first.path} is on a drive of Windows, of which nothing is "
            f"here; write paths relative to data.root, {disk.root}{cut and ': '}{cut}"
        )
    if _outside(first.path, disk):
        raise ValueError(
            f"data.root: {first.place}: {first.path} leads out of data.root, here {disk.root}; "
            f"write paths relative to it{cut and ': '}{cut}"
        )
    raise ValueError(
        f"data.root: {source} names {total} images, of which {len(lost)} are not in "
        f"{disk.root}, the first is {first.path} ({first.place}); "
        + (f"{cut}, or " if cut else "")
        + "complete the folder, or correct the list"
    )


def _outside(path: str, disk: Disk) -> bool:
    """Whether a path that was not found leads out of the image folder."""
    if is_of_windows(path):
        return True
    tidy = posixpath.normpath(path)
    return leads_out(tidy) and disk.relative(posixpath.join(disk.root, tidy)) is None


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
