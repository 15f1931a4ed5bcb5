"""Folders: images found in class folders, whatever stands above these."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pfedmma_dist.data.images.files import SUFFIXES
from pfedmma_dist.data.sets.listing import Entry, Part


def folders(folder: Path, skip: Iterable[str] = ()) -> list[str]:
    """Return the names of the visible sub-folders, sorted."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name[0] != "." and entry.is_dir()]
    return sorted(set(names).difference(skip))


def image_files(folder: Path) -> list[str]:
    """Return the names of the visible image files of a folder, by suffix, sorted."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name[0] != "."
            and os.path.splitext(entry.name)[1].lower() in SUFFIXES
            and entry.is_file()
        )


def find(root: Path, spellings: Sequence[str]) -> Path:
    """Return the first of these sub-folders that exists, or else the first."""
    return next((root / name for name in spellings if (root / name).is_dir()), root / spellings[0])


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
) -> list[list[Entry]]:
    """Return the images of each of these class folders, at least one per class.

    within: where they lie below the image folder `root`, empty or with a slash at its end.
    """
    found = []
    for name in names:
        files = image_files(root / within / name)
        if not files:
            raise ValueError(
                f"data.root: {root / within / name} holds no image; data.name={layout}"
            )
        found.append([Entry(f"{within}{name}/{file}", name, part, domain) for file in files])
    return found
