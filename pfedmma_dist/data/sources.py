"""Sources: the data sets this project can read, each as a function from a configuration to Images.

To add one, write its function here and give it a line in `SOURCES`. It lists images and never opens
one; where they are not files, it gives them a store of their own, as `glyph_images` does. Sets in
CoOp's layout need only the names of their folders: see `caltech101`.
"""

import difflib
from collections.abc import Callable
from pathlib import Path

from pfedmma_dist.config import DataConfig
from pfedmma_dist.data.glyph_images import glyph_images
from pfedmma_dist.data.images import Images
from pfedmma_dist.data.split import class_folders, drawn_split, image_files, read_split, to_images

Source = Callable[[DataConfig, int, Path], Images]
"""(data section, the run's seed, folder of drawn splits) -> images"""


def caltech101(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read Caltech-101 in CoOp's layout: 100 classes, with CoOp's class names.

    Two folders are left out: the background, and the second copy of the faces.
    """
    home = _root(cfg) / "caltech-101"
    folder = home / "101_ObjectCategories"
    layout = f"caltech101 expects {folder}/<class>/*.jpg"
    published = home / "split_zhou_Caltech101.json"
    renamed = {
        "airplanes": "airplane",
        "Faces": "face",
        "Leopards": "leopard",
        "Motorbikes": "motorbike",
    }
    names = _classes(folder, layout, skip=("BACKGROUND_Google", "Faces_easy"))
    if published.exists():
        return read_split(published, folder)
    for name in names:
        _files(folder / name, layout)
    classes = {name: renamed.get(name, name) for name in names}
    return drawn_split("caltech101", folder, classes, splits)


def folder(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read {train,test}/<class>/* under the root; the sorted class folders are the labels."""
    root = _root(cfg)
    layout = f"folder expects {root}/train/<class>/* and {root}/test/<class>/*"
    names = _classes(root / "train", layout)
    others = _classes(root / "test", layout)
    if names != others:
        lonely = sorted(set(names).symmetric_difference(others))
        where, other = ("train", "test") if lonely[0] in names else ("test", "train")
        raise ValueError(
            f"data.root: {len(lonely)} classes are only in one of {root}/train and {root}/test, "
            f"the first is {lonely[0]!r}, in {where} but not in {other}"
        )
    train, test = (
        [
            (f"{part}/{name}/{file}", label, name)
            for label, name in enumerate(names)
            for file in _files(root / part / name, layout)
        ]
        for part in ("train", "test")
    )
    return to_images(root, train, test, root)


SOURCES: dict[str, Source] = {
    "caltech101": caltech101,
    "folder": folder,
    "glyphs": glyph_images,
}


def read(cfg: DataConfig, seed: int, cache_folder: Path) -> Images:
    """List the images of the configured data set. Several ranks may do so at once.

    seed: the run's, for sets that are drawn anew by it. cache_folder: takes splits that had to be
    drawn, in its sub-folder `splits`; the user's data folder is never written to.
    """
    if cfg.name not in SOURCES:
        near = difflib.get_close_matches(cfg.name, SOURCES, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"data.name: {cfg.name!r} is none of {', '.join(sorted(SOURCES))}{hint}")
    return SOURCES[cfg.name](cfg, seed, cache_folder.expanduser() / "splits")


def _root(cfg: DataConfig) -> Path:
    """Return the folder that holds the data sets."""
    return Path(cfg.root).expanduser()


def _classes(folder: Path, layout: str, skip: tuple[str, ...] = ()) -> list[str]:
    """Return the sorted class folders, at least one."""
    if not folder.is_dir():
        raise ValueError(f"data.root: {folder} is not a folder; data.name={layout}")
    names = class_folders(folder, skip)
    if not names:
        raise ValueError(f"data.root: {folder} holds no class folder; data.name={layout}")
    return names


def _files(folder: Path, layout: str) -> list[str]:
    """Return the image files of a class, at least one."""
    files = image_files(folder)
    if not files:
        raise ValueError(f"data.root: {folder} holds no image; data.name={layout}")
    return files
