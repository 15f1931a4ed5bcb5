"""Look: walk over every file below an image folder, once, and account for it."""

import logging
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from PIL import Image

from pfedmma_dist.data.images.files import BROKEN, FORMATS, SUFFIXES, Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.account import (
    ABOVE,
    DEAD,
    HIDDEN,
    LOOP,
    NESTED,
    OUTSIDE,
    PICTURES,
    PLAIN,
    SPECIAL,
    SYSTEM,
    UNLISTED,
    UNREADABLE,
    Account,
)
from pfedmma_dist.data.sets.system import SNAPSHOTS, is_system_folder, system_file

log = logging.getLogger(__name__)

SPOKEN = {"test": "testing"}
"""What a part of the images is for, where that is not its name."""

FIRST_WORD, NEXT_WORD = 2.0, 10.0
"""Seconds until a long look says how far it is, and between two such words."""


@dataclass(frozen=True)
class Known:
    """What is known of a folder's files before looking at them."""

    root: str
    used: Collection[str] = frozenset()  # paths from root, of images that are read
    left: Mapping[str, str] = field(default_factory=dict)  # path or folder -> why it is left out
    homes: Collection[str] = frozenset()  # folders that hold images which are read
    is_listed: bool = False  # a list says which images there are


def account(images: Images, *, seconds: float = float("inf")) -> Account | None:
    """Account for every file below the image folder; None where images are not files.

    No file is opened, but for the first of each unknown suffix. Folders are followed through
    links, as readers do. seconds: when to stop looking.
    """
    store = images.store
    if not isinstance(store, Files):
        return None
    used = {store.paths[row] for row in images.rows.tolist()}
    left = dict(store.left)
    if len(used) < len(store.paths):
        left.update(dict.fromkeys(set(store.paths).difference(used), UNREADABLE))
    parts = {SPOKEN.get(name, name): len(rows) for name, rows in images.parts.items()}
    found = Account(str(store.root / store.home), parts)
    homes = {path.rpartition("/")[0] for path in store.paths}
    known = Known(str(store.root), used, left, homes, bool(store.source))
    _look(found, known, store.home, time.monotonic() + seconds)
    return found


def contents(folder: str) -> str:
    """Say what a folder that holds no image to be read does hold; empty where that is nothing."""
    found = Account(folder, {})
    _look(found, Known(folder, homes={""}), "", float("inf"))
    return "; ".join(item.words() for item in found.reasons)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a folder, or a link to one; a link in a ring is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a file, or a link to one."""
    try:
        return entry.is_file()
    except OSError:
        return False


def leads_up(root: str, path: str) -> bool:
    """Say whether a linked folder below root is one of those that its own path goes through."""
    target = os.path.realpath(f"{root}/{path}")
    parts = path.split("/")[:-1]
    above = (os.path.realpath("/".join([root, *parts[:n]])) for n in range(len(parts) + 1))
    return any(f"{folder}/".startswith(f"{target.rstrip('/')}/") for folder in above)


def _look(found: Account, known: Known, home: str, end: float) -> None:
    """Fill in what is left out below the folder `home` of known.root."""
    spoken, looked = time.monotonic() + FIRST_WORD - NEXT_WORD, 0
    formats: dict[str, str] = {}  # unknown suffix -> format of the first such file
    start = f"{home.rstrip('/')}/" if home else ""
    waiting = [(start, "", "", False)]
    while waiting:
        now = time.monotonic()
        if now > end:
            found.whole = False
            return
        if now - spoken > NEXT_WORD:
            spoken = now
            log.info("looking at the files below %s, %s so far", found.folder, f"{looked:,}")
        prefix, why, kind, inside = waiting.pop()  # why all in it is left out, is it in a class
        inside = inside or prefix[:-1] in known.homes
        try:
            with os.scandir(f"{known.root}/{prefix}") as scan:
                entries = list(scan)
        except OSError as error:
            found.closed[prefix or "."] = error.strerror or str(error)
            continue
        looked += len(entries)
        if not entries and prefix != start and not why:
            found.empty.append(prefix)
        below = []
        for entry in entries:
            path = prefix + entry.name
            if path in known.used:
                continue
            if not is_folder(entry):
                if path in known.left:
                    found.add(path, known.left[path])
                elif why:
                    found.add(path, why, "", kind)
                else:
                    found.add(path, *_reason(entry, path, inside, known, formats))
            elif entry.name.lower() in SNAPSHOTS:
                found.closed[f"{path}/"] = "older copies that the file system keeps"
            elif entry.is_symlink() and leads_up(known.root, path):
                found.add(path, LOOP)
            else:
                own = why or known.left.get(f"{path}/", "") or _of_folder(entry.name)
                named = entry.name if own == SYSTEM and not why else kind
                below.append((f"{path}/", own, named, inside))
        waiting += sorted(below, reverse=True)


def _of_folder(name: str) -> str:
    """Return why all in a folder of this name is left out, if it is for its name."""
    if is_system_folder(name):
        return SYSTEM
    return HIDDEN if name.startswith(".") else ""


def _reason(
    entry: os.DirEntry[str], path: str, inside: bool, known: Known, formats: dict[str, str]
) -> tuple[str, str, str]:
    """Return why a file is left out, the remedy, and its kind where the reason has several.

    inside: it lies in a class folder, or in a folder in one.
    """
    if not is_file(entry):
        return (DEAD if entry.is_symlink() else SPECIAL), "", ""
    system = system_file(entry.name)
    if system:
        return SYSTEM, "", system
    if entry.name.startswith("."):
        return HIDDEN, "", ""
    suffix = os.path.splitext(entry.name)[1].lower()
    if known.is_listed and (suffix in SUFFIXES or suffix in PICTURES):
        return UNLISTED, "", ""
    if suffix in SUFFIXES:
        return (NESTED, ABOVE, "") if inside else (OUTSIDE, "", "")
    if suffix in PICTURES:
        return f"ending in {suffix}", PICTURES[suffix], ""
    if suffix not in formats:
        formats[suffix] = "" if known.is_listed else _format(f"{known.root}/{path}")
    if formats[suffix]:
        why = f"ending in {suffix}" if suffix else "without a suffix"
        return why, f"the first is {formats[suffix]} by its content; rename them", ""
    return PLAIN, "", suffix or "no suffix"


def _format(path: str) -> str:
    """Return in what format of ours a file is by its first bytes, empty if in none."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.format or ""
    except BROKEN:
        return ""
