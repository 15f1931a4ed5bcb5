"""Split: a list of training and test images, read from a CoOp split file or drawn and kept.

CoOp's file is JSON: {"train": [[path, label, class name], ...], "val": ..., "test": ...}, with
paths relative to the image folder. Drawn splits are kept in the same form.
"""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.data.files import SUFFIXES, Files
from pfedmma_dist.data.images import Images

log = logging.getLogger(__name__)

SPLIT_SEED = 1
"""Seed of drawn splits. Not the run's: runs of several seeds must be scored on the same images."""

TRAIN_SHARE, VAL_SHARE = 0.5, 0.2
"""Shares per class, each rounded; the rest is the test set (CoOp)."""

Entry = tuple[str, int, str]  # path, label, class name


def class_folders(folder: Path, skip: Iterable[str] = ()) -> list[str]:
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


def to_images(root: Path, train: list[Entry], test: list[Entry], source: Path) -> Images:
    """Join both lists into Images. Labels, names and paths must agree, or ValueError says where.

    source: the file or folder that the lists come from, named in messages.
    """
    name_of: dict[int, str] = {}
    for path, label, name in (*train, *test):
        if name_of.setdefault(label, name) != name:
            raise ValueError(
                f"data.root: {source} gives label {label} to {name_of[label]!r} and, at {path}, "
                f"to {name!r}; a label needs one name"
            )
    if sorted(name_of) != list(range(len(name_of))):
        raise ValueError(
            f"data.root: {source} has {len(name_of)} labels from {min(name_of)} to "
            f"{max(name_of)}; they must be 0, 1, 2, ... without a gap"
        )
    names = tuple(name_of[label].replace("_", " ") for label in range(len(name_of)))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"data.root: {source} has several labels for the class {twice!r}")
    for kind, entries in (("training", train), ("test", test)):
        empty = sorted(set(range(len(names))).difference(label for _, label, _ in entries))
        if empty:
            raise ValueError(
                f"data.root: {source} has no {kind} image of {len(empty)} of {len(names)} "
                f"classes, the first is {names[empty[0]]!r}"
            )
    paths = tuple(path for path, _, _ in (*train, *test))
    if len(set(paths)) < len(paths):
        seen: set[str] = set()
        twice = next(path for path in paths if path in seen or seen.add(path))
        raise ValueError(f"data.root: {source} lists {twice} twice")
    labels = np.array([label for _, label, _ in (*train, *test)], np.int64)
    rows = np.arange(len(paths), dtype=np.int64)
    return Images(Files(root, paths), labels, names, rows[: len(train)], rows[len(train) :])


def read_split(file: Path, root: Path) -> Images:
    """Read a split file over the image folder `root`; every image it names must exist there."""
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:  # JSON and text encoding alike
        raise ValueError(
            f"data.root: {file} is not JSON ({error}); fetch it again, or delete it"
        ) from error
    train, test = (_entries(content, part, file) for part in ("train", "test"))
    _refuse_missing(file, root, [path for path, _, _ in (*train, *test)])
    return to_images(root, train, test, file)


def drawn_split(name: str, root: Path, classes: dict[str, str], folder: Path) -> Images:
    """Split class folders 50/20/30 by a fixed seed, and keep the split as a file in `folder`.

    classes: folder name -> class name, in the order of the labels. A split that is already kept for
    the same files is read back, so it survives a change of numpy's random streams.
    """
    files = {directory: image_files(root / directory) for directory in classes}
    listing = "\n".join(f"{directory}/{file}" for directory in classes for file in files[directory])
    digest = hashlib.blake2b(os.fsencode(listing), digest_size=8).hexdigest()
    kept = folder / f"{name}-{SPLIT_SEED}-{digest}.json"
    if not kept.exists():
        parts: dict[str, list[Entry]] = {"train": [], "val": [], "test": []}
        for label, (directory, title) in enumerate(classes.items()):
            paths = [f"{directory}/{file}" for file in files[directory]]
            order = rng.generator(SPLIT_SEED, "split", label).permutation(len(paths))
            cuts = np.cumsum([round(len(paths) * TRAIN_SHARE), round(len(paths) * VAL_SHARE)])
            for part, places in zip(parts.values(), np.split(order, cuts), strict=True):
                part.extend((paths[place], label, title) for place in np.sort(places))
        _write(kept, json.dumps(parts, indent=0))
    log.warning("%s: using our own 50/20/30 split, not the published one: %s", name, kept)
    return read_split(kept, root)


def _entries(content: object, part: str, file: Path) -> list[Entry]:
    """Return one part of a split file, checked entry by entry."""
    entries = content.get(part) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"data.root: {file} has no list {part!r} of [path, label, class name]")
    checked = []
    for entry in entries:
        match entry:
            case [str(path), int(label), str(name)] if not isinstance(label, bool):
                clean = PurePosixPath(path)
            case _:
                raise ValueError(
                    f"data.root: {file}, {part}: {entry!r} is not [path, label, class name]"
                )
        if clean.is_absolute() or ".." in clean.parts:
            raise ValueError(f"data.root: {file}, {part}: {path} leads out of the image folder")
        checked.append((clean.as_posix(), label, name))
    return checked


def _refuse_missing(file: Path, root: Path, paths: list[str]) -> None:
    """Name the first path that does not exist; each folder is listed once, no file is asked for."""
    listed: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            inside = root / folder
            listed[folder] = set(os.listdir(inside)) if inside.is_dir() else set()
        if name not in listed[folder]:
            missing.append(path)
    if missing:
        raise ValueError(
            f"data.root: {file} names {len(paths)} images, of which {len(missing)} are not in "
            f"{root}, the first is {missing[0]}; complete the folder, or move the file away for "
            "a split of what is there"
        )


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, whoever else writes the same one."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text)
        os.replace(draft, path)
    except OSError as error:
        if draft.exists():
            draft.unlink()
        raise ValueError(
            f"clip.cache_folder: cannot write {path} ({error.strerror}); choose another folder"
        ) from error
