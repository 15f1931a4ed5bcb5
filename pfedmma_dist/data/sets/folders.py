"""Folders: images found in class folders, whatever stands above these."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pfedmma_dist.data.images.files import SUFFIXES
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.look import contents, is_file, is_folder, leads_up
from pfedmma_dist.data.sets.system import is_system_folder

FEW = 5
"""Folders that are looked into for an example."""

MANY = 50
"""Folders that are looked at for the one that is meant."""


def folders(folder: Path, skip: Iterable[str] = ()) -> list[str]:
    """Return the names of the sub-folders, sorted, without hidden and system folders."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name[0] != "." and not is_system_folder(entry.name) and is_folder(entry)
        ]
    return sorted(set(names).difference(skip))


def image_files(folder: Path) -> list[str]:
    """Return the names of the visible image files of a folder, by suffix, sorted."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name[0] != "."
            and os.path.splitext(entry.name)[1].lower() in SUFFIXES
            and is_file(entry)
        )


def nested_files(folder: Path) -> list[str]:
    """Return the paths of the image files of a folder and of all folders inside it, sorted."""

    def below(within: str) -> Iterator[str]:
        for name in image_files(folder / within):
            yield within + name
        for name in folders(folder / within):
            if not ((folder / within / name).is_symlink() and leads_up(str(folder), within + name)):
                yield from below(f"{within}{name}/")

    return sorted(below(""))


def first_image(folder: Path, depth: int = 3) -> str | None:
    """Return the path of an image in a folder, or else in the first folders inside it, or None."""
    files = image_files(folder)
    if files or depth == 0:
        return files[0] if files else None
    for name in folders(folder)[:FEW]:
        inside = first_image(folder / name, depth - 1)
        if inside is not None:
            return f"{name}/{inside}"
    return None


def find(root: Path, spellings: Sequence[str]) -> Path:
    """Return the first of these sub-folders that exists, or else the first."""
    return next((root / name for name in spellings if (root / name).is_dir()), root / spellings[0])


def nearby(root: Path, fits: Callable[[Path], bool]) -> Path | None:
    """Return the nearest folder above or inside `root` that fits as data.root in its place."""
    return None if fits(root) else next(filter(fits, _around(root)), None)


def refuse_misplaced(
    root: Path, homes: Sequence[str], is_home: Callable[[Path], bool], name: str, inner: str
) -> None:
    """Refuse a data.root that does not hold the home of a data set, where another folder does.

    homes: spellings of the home's name, "" for data.root itself. name: of the data set. inner: what
    the home holds, for the message.
    """

    def fits(folder: Path) -> bool:
        return any(is_home(folder / home) for home in homes)

    if fits(root):
        return
    near = nearby(root, fits)
    missing = f"data.root: {root / homes[0] / inner} is missing, where {name} expects its files"
    if near is not None:
        raise ValueError(f"{missing}; set data.root={near}, where they are")
    for misnamed in [root, *_around(root)]:
        if _letters(homes[0]) not in _letters(misnamed.name) or not is_home(misnamed):
            continue  # many sets have a folder `images`
        right = misnamed.with_name(homes[0])
        if misnamed == right:
            raise ValueError(f"{missing}; set data.root={right.parent}, where they are")
        raise ValueError(
            f"{missing}, but {misnamed} looks like {homes[0]}: rename it to {right} and set "
            f"data.root={right.parent}"
        )


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _around(root: Path) -> Iterator[Path]:
    """Yield the folders at most two levels above and inside `root`, the nearer ones first."""
    yield from islice(Path(os.path.abspath(root)).parents, 2)
    inside = [root]
    for _ in range(2):
        inside = [folder / name for folder in inside for name in readable_folders(folder)[:MANY]]
        yield from inside


def readable_folders(folder: Path) -> list[str]:
    """Return the names of the sub-folders, none of a folder that cannot be looked into."""
    try:
        return folders(folder)
    except OSError:
        return []


def class_folders(folder: Path, layout: str, skip: Iterable[str] = ()) -> list[str]:
    """Return the sorted class folders, at least one. layout: what was expected, for the message."""
    if not folder.is_dir():
        raise ValueError(f"data.root: {folder} is not a folder; data.name={layout}")
    names = folders(folder, skip)
    if not names:
        raise ValueError(f"data.root: {folder} holds no class folder; data.name={layout}")
    return names


def class_entries(
    root: Path,
    within: str,
    names: Iterable[str],
    layout: str,
    part: Part = Part.train,
    domain: str = "",
    *,
    nested: bool = False,
) -> list[list[Entry]]:
    """Return the images of each of these class folders, at least one per class.

    within: where they lie below the image folder `root`, empty or with a slash at its end. nested:
    take images in folders inside a class folder too.
    """
    found = []
    for name in names:
        folder = root / within / name
        files = nested_files(folder) if nested else image_files(folder)
        if not files:
            held = contents(str(folder))
            told = f", only files that are left out: {held}" if held else ""
            raise ValueError(f"data.root: {folder} holds no image{told}; data.name={layout}")
        found.append([Entry(f"{within}{name}/{file}", name, part, domain) for file in files])
    return found
