"""The entries of a cache folder: listed, checked, removed where no live run holds them."""

import contextlib
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pfedmma_dist.clip import manifest
from pfedmma_dist.clip.disk import PREFIX
from pfedmma_dist.clip.manifest import Manifest, Outdated
from pfedmma_dist.clip.storage import remove
from pfedmma_dist.reading import Unreadable

ENTRY = re.compile(re.escape(PREFIX) + r"[0-9a-f]{20}")
LEFT = re.compile(rf"({ENTRY.pattern})\.(.+)\.(tmp|lock)")
"""Work folders and locks: what a killed run leaves."""

FOREIGN = 24 * 3600.0
"""Seconds of rest after which what another host left belongs to no live run: some file systems keep
locks from the eyes of other hosts."""


class Held(Exception):
    """Say who holds an entry, so that it is left alone."""


@dataclass(frozen=True)
class Entry:
    """A folder of features."""

    path: Path
    num_bytes: int
    used: float  # when a run last found it, seconds since the epoch
    manifest: Manifest | None  # None where there is none that we can read
    damage: str  # in what it is not as it was written, as far as its manifest shows; or ""
    lost: str  # why no run of this installation finds it, or ""


def entries(folder: Path, versions: Mapping[str, str]) -> list[Entry]:
    """Return all entries, the one that was used last first.

    versions: the words of the recipe that all features of this installation share.
    """
    found = [_entry(path, versions) for path in folder.iterdir() if ENTRY.fullmatch(path.name)]
    return sorted(found, key=lambda entry: (-entry.used, entry.path.name))


def leftovers(folder: Path) -> list[Path]:
    """Return the work folders and locks that dead runs have left, folders first."""
    found = [path for path in folder.iterdir() if LEFT.fullmatch(path.name) and _is_dead(path)]
    return sorted(found, key=lambda path: (path.suffix != ".tmp", path.name))


def others(folder: Path) -> list[Path]:
    """Return what lies in the folder and is no feature cache."""
    return sorted(
        path
        for path in folder.iterdir()
        if not ENTRY.fullmatch(path.name) and not LEFT.fullmatch(path.name)
    )


def verify(entry: Entry) -> str:
    """Return in what an entry is not as it was written, having read all of it, or ""."""
    if entry.damage or entry.manifest is None:
        return entry.damage
    return manifest.damage(entry.path, entry.manifest)


def in_use(path: Path) -> bool:
    """Say whether a live run makes or maps an entry."""
    try:
        with _exclusively(path):
            return False
    except Held:
        return True


def remove_entry(path: Path) -> None:
    """Remove an entry; Held where a live run makes or maps it."""
    with _exclusively(path, own=True):
        remove(path)


def remove_leftover(path: Path) -> None:
    """Remove what a dead run left; Held where another one has begun at the same key."""
    with _exclusively(_entry_of(path), own=True):
        remove(path)


def size(path: Path) -> int:
    """Return the bytes of a file or of all files in a folder; links count as links."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    total = 0
    for item in (path, *inside):
        with contextlib.suppress(FileNotFoundError):  # a run may be at work
            total += 0 if item.is_dir() and not item.is_symlink() else item.lstat().st_size
    return total


def _entry(path: Path, versions: Mapping[str, str]) -> Entry:
    found, damage, lost, used = None, "", "", path.lstat().st_mtime
    try:
        found = manifest.read(path)
        used = os.stat(path / manifest.NAME).st_mtime
    except FileNotFoundError:
        damage = f"has no {manifest.NAME}"
    except Outdated as error:
        lost = f"its {manifest.NAME} {error.problem}"
    except Unreadable as error:
        damage = f"has a {manifest.NAME} that {error.problem}"
    if found is not None:
        if f"{PREFIX}{found.key}" != path.name:
            damage = f"holds what belongs into {PREFIX}{found.key}"
        made = {word: found.made_of.get(word, "nothing known") for word in versions}
        lost = "; ".join(
            f"{word} {text}, here {versions[word]}"
            for word, text in made.items()
            if text != versions[word]
        )
    return Entry(path, size(path), used, found, damage, lost)


def _entry_of(left: Path) -> Path:
    """Return the entry that a work folder or lock is about."""
    return left.with_name(_parts(left)[0])


def _parts(left: Path) -> tuple[str, str]:
    """Return the entry and the host that the name of a work folder or lock tells."""
    found = LEFT.fullmatch(left.name)
    assert found is not None
    return found.group(1), found.group(2)


def _is_dead(left: Path) -> bool:
    """Say whether the run that made a work folder or a lock has ended."""
    return not _may_live_elsewhere(left) and not in_use(_entry_of(left))


def _may_live_elsewhere(left: Path) -> bool:
    """Say whether a run of another host was at work here lately."""
    if _parts(left)[1] == socket.gethostname():
        return False
    try:
        newest = max(item.lstat().st_mtime for item in (left, *left.glob("*")))
    except FileNotFoundError:
        return True  # it was, just now
    return time.time() - newest < FOREIGN


@contextlib.contextmanager
def _exclusively(entry: Path, *, own: bool = False) -> Iterator[None]:
    """Hold all locks of an entry that are there; Held where somebody has one of them.

    own: hold this host's too, as a run would that makes the entry, and remove it in the end.
    """
    mine = entry.with_name(f"{entry.name}.{socket.gethostname()}.lock")
    with ExitStack() as stack:
        if own:
            _take(stack, mine, "ab")
            stack.callback(mine.unlink, missing_ok=True)
        for lock in entry.parent.glob(f"{entry.name}.*.lock"):
            if _may_live_elsewhere(lock):
                raise Held(f"another host locked it within a day: {lock}")
            if not (own and lock == mine):
                with contextlib.suppress(FileNotFoundError):  # a run lets go of it
                    _take(stack, lock)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            _take(stack, entry / manifest.NAME)
        yield


def _take(stack: ExitStack, path: Path, mode: str = "r+b") -> None:
    try:
        file = stack.enter_context(open(path, mode))  # noqa: SIM115 (the stack closes it)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Held(f"a live run holds {path}") from error
    except PermissionError as error:
        raise Held(f"another user's: {path}") from error
