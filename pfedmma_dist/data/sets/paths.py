"""Paths: how a list may spell one, and which file below the image folder is meant.

A path that is on disk as it is written is never looked at here. For all others the readings are
tried from strict to loose, and the first that finds a file ends the search: other separators and
what stands before the image folder, then another Unicode form, then another letter case.
"""

import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote

URL = re.compile(r"file:(//(localhost)?)?(?=/)", re.IGNORECASE)
DRIVE = re.compile(r"/?[A-Za-z]:[\\/]|\\\\\w")
"""The beginning of a path of a Windows drive or share."""

Fold = Callable[[str], str]


class Kind(Enum):
    """How a path departs from what is on disk; the value completes "found only ..."."""

    url = "without file:// before them"
    percent = "with %XX decoded"
    separator = "with / in place of \\"
    absolute = "with the image folder cut from their beginning"
    form = "in the Unicode form of the disk (accents as NFC or as NFD)"
    case = "in the letter case of the disk"


class Found(NamedTuple):
    """A file below the image folder."""

    path: str  # relative to it, as on disk
    kinds: tuple[Kind, ...]  # in which the list spells it otherwise


def one_form(text: str) -> str:
    """Return a text such that canonically equivalent ones (NFC, NFD) are equal."""
    return unicodedata.normalize("NFD", text)


def caseless(text: str) -> str:
    """Return a text such that those that differ in form or letter case are equal."""
    return one_form(one_form(text).casefold())


def slashed(path: str) -> str:
    """Return a path of a list in tidy form with forward slashes, to take names of folders from."""
    return posixpath.normpath(path.replace("\\", "/"))


def leads_out(path: str) -> bool:
    """Whether a tidy path is absolute, or climbs out of where it begins."""
    return path[:1] == "/" or path == ".." or path[:3] == "../"


class Disk:
    """The names below an image folder; each folder is listed at most once."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(root)
        self._names: dict[str, set[str]] = {}
        self._tables: dict[tuple[str, Fold], dict[str, list[str]]] = {}
        self._folders: dict[tuple[str, Fold], list[str]] = {}
        self._within: dict[str, str | None] = {}
        self._linked: list[tuple[str, str]] | None = None

    def names(self, folder: str) -> set[str]:
        """Return what lies in a folder, a relative path; nothing where it is none."""
        if folder not in self._names:
            inside = os.path.join(self.root, folder)
            self._names[folder] = set(os.listdir(inside)) if os.path.isdir(inside) else set()
        return self._names[folder]

    def has(self, path: str) -> bool:
        """Whether a tidy relative path is there, letter by letter."""
        folder, _, name = path.rpartition("/")
        return name in self.names(folder)

    def alike(self, path: str, fold: Fold) -> list[str]:
        """Return the paths on disk that are equal to this one once folded."""
        folder, _, name = path.rpartition("/")
        return [
            posixpath.join(place, own)
            for place in self._alike_folders(folder, fold)
            for own in self._table(place, fold).get(fold(name), ())
        ]

    def relative(self, path: str) -> str | None:
        """Return an absolute path relative to the image folder; None where it is not below."""
        folder, name = posixpath.split(path)
        if name in ("", ".", ".."):
            return None
        if folder not in self._within:
            self._within[folder] = self._search(folder)
        place = self._within[folder]
        return None if place is None else posixpath.join(place, name)

    def _alike_folders(self, folder: str, fold: Fold) -> list[str]:
        if not folder:
            return [""]
        if (folder, fold) not in self._folders:
            self._folders[folder, fold] = self.alike(folder, fold)
        return self._folders[folder, fold]

    def _table(self, folder: str, fold: Fold) -> dict[str, list[str]]:
        if (folder, fold) not in self._tables:
            table: dict[str, list[str]] = {}
            for name in sorted(self.names(folder)):
                table.setdefault(fold(name), []).append(name)
            self._tables[folder, fold] = table
        return self._tables[folder, fold]

    def _search(self, folder: str) -> str | None:
        """Return where an absolute folder lies below the root, whatever links lead to either."""
        tidy, real = os.path.normpath(folder), os.path.realpath(self.root)
        for path, root in ((tidy, self.root), (tidy, real), (os.path.realpath(folder), real)):
            if (place := _below(path, root)) is not None:
                return place
        above = tidy
        while above != os.path.dirname(above):
            if os.path.isdir(above) and os.path.samefile(above, self.root):
                return _below(tidy, above)
            above = os.path.dirname(above)
        for root in (self.root, real):
            depth = root.count("/") + 1 if root != "/" else 1
            head, rest = tidy.split("/")[:depth], tidy.split("/")[depth:]
            if caseless("/".join(head)) == caseless(root):
                return "/".join(rest)
        for target, place in self._links():
            if (inner := _below(tidy, target)) is not None:
                return posixpath.join(place, inner).rstrip("/")
        return None

    def _links(self) -> list[tuple[str, str]]:
        """Return (where it leads, its own place) of each folder linked into the root or one below.

        What lies deeper is not asked for: there are the images, and these may be many.
        """
        if self._linked is None:
            self._linked = []
            for within, folders, _ in os.walk(self.root):
                for name in sorted(folders):
                    link = os.path.join(within, name)
                    if os.path.islink(link):
                        place = os.path.relpath(link, self.root)
                        self._linked.append((os.path.realpath(link), place))
                if within != self.root:
                    folders.clear()
        return self._linked


def locate(path: str, disk: Disk) -> list[Found]:
    """Return the file that a path of a list means; several where that cannot be told."""
    readings = [
        Found(place, (*kinds, *more))
        for text, kinds in _readings(path)
        for place, more in _inside(text, disk)
    ]
    for reading in readings:
        if disk.has(reading.path):
            return [reading]
    for kind, fold in ((Kind.form, one_form), (Kind.case, caseless)):
        found = {
            own: Found(own, (*reading.kinds, kind))
            for reading in reversed(readings)
            for own in disk.alike(reading.path, fold)
        }
        if found:
            return list(found.values())
    return []


def surplus(path: str, disk: Disk) -> str:
    """Return the beginning of a path without which it would be there; empty where there is none."""
    for text, _ in _readings(path):
        text = text.replace("\\", "/")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        for start in range(text[:1] != "/", len(parts)):
            tail = "/".join(parts[start:])
            if ".." not in parts[start:] and text.endswith(tail) and disk.alike(tail, caseless):
                return path[: -len(tail)] if path.replace("\\", "/").endswith(tail) else ""
    return ""


def is_of_windows(path: str) -> bool:
    """Whether a path begins with a drive or a share of Windows."""
    return DRIVE.match(URL.sub("", path)) is not None


def _readings(path: str) -> Iterator[tuple[str, tuple[Kind, ...]]]:
    """Yield what a path may stand for, from strict to loose."""
    plain = URL.sub("", path)
    kinds = () if plain == path else (Kind.url,)
    texts = [(plain, kinds)]
    if (decoded := unquote(plain)) != plain:
        texts.append((decoded, (*kinds, Kind.percent)))
    for text, kinds in texts:
        if "\0" in text:
            continue
        yield text, kinds
        if "\\" in text:
            yield text.replace("\\", "/"), (*kinds, Kind.separator)


def _inside(text: str, disk: Disk) -> Iterator[tuple[str, tuple[Kind, ...]]]:
    """Yield a path relative to the image folder, if it stays there."""
    tidy = posixpath.normpath(text)
    if not leads_out(tidy):
        yield tidy, ()
        if not text.startswith("~"):
            return
    if not is_of_windows(text):
        place = disk.relative(os.path.join(disk.root, os.path.expanduser(text)))
        if place is not None and not leads_out(place := posixpath.normpath(place)):
            yield place, (Kind.absolute,)


def _below(path: str, root: str) -> str | None:
    """Return a path relative to a folder, by their letters alone; None where it is not below."""
    if path == root:
        return ""
    head = root.rstrip("/") + "/"
    return path.removeprefix(head) if path.startswith(head) else None
