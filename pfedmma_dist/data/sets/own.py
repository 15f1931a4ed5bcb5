"""Your own images: a list of them, or folders in one of three layouts, told apart by looking."""

from pathlib import Path

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.domains import domain_tree
from pfedmma_dist.data.sets.folders import class_entries, class_folders, folders, image_files
from pfedmma_dist.data.sets.listing import Entry, Part, to_images
from pfedmma_dist.data.sets.lists import read_list
from pfedmma_dist.data.sets.split import OWN_SHARES, draw


def folder(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read your own images: <class>/* with or without {train,test}/ or <domain>/ above, or a list.

    The sorted class folders are the labels. Where neither folders nor the list say what is for
    testing, a seeded split keeps 30 % of every class for it.
    """
    root = Path(cfg.root).expanduser()
    if cfg.list is not None:
        return read_list(cfg, root, splits)
    layout = (
        f"folder expects {root}/{{train,test}}/<class>/*, {root}/<class>/* or "
        f"{root}/<domain>/<class>/*"
    )
    names = class_folders(root, layout)
    if "train" in names and {"test", "val"} & set(names):
        return to_images(
            halves(cfg.name, root, "test" if "test" in names else "val"), root, root, cfg
        )
    if {"train", "test"} & set(names):
        raise ValueError(
            f"data.root: {root} holds {', '.join(names[:9])}: only one of train and test; "
            f"data.name={layout}"
        )
    flat = [name for name in names if image_files(root / name)]
    deep = [name for name in names if name not in flat and folders(root / name)]
    if flat and deep:
        raise ValueError(
            f"data.root: {root}/{flat[0]} holds images and {root}/{deep[0]} holds folders: is it a "
            f"class or a domain? data.name={layout}"
        )
    if not deep:
        strata = class_entries(root, "", names, layout)
        return to_images(draw(cfg.name, strata, OWN_SHARES, splits), root, root, cfg)
    if len(deep) == 1:
        raise ValueError(
            f"data.root: {root} holds the single folder of folders {deep[0]!r}; if these are "
            f"classes, set data.root={root / deep[0]}"
        )
    _refuse_unlike(root, deep)
    return domain_tree(cfg, root, {name: name for name in deep}, layout, splits)


def halves(name: str, root: Path, test: str) -> list[Entry]:
    """Return the images of train/<class>/* and <test>/<class>/*. name: of the data set."""
    layout = f"{name} expects {root}/train/<class>/* and {root}/{test}/<class>/*"
    names = class_folders(root / "train", layout)
    others = class_folders(root / test, layout)
    if names != others:
        lonely = sorted(set(names).symmetric_difference(others))
        where, other = ("train", test) if lonely[0] in names else (test, "train")
        raise ValueError(
            f"data.root: {len(lonely)} classes are only in one of {root}/train and {root}/{test}, "
            f"the first is {lonely[0]!r}, in {where} but not in {other}"
        )
    entries: list[Entry] = []
    for part, within in ((Part.train, "train"), (Part.test, test)):
        found = class_entries(root, f"{within}/", names, layout, part)
        entries.extend(entry for own in found for entry in own)
    return entries


def _refuse_unlike(root: Path, domains: list[str]) -> None:
    """Refuse folders of folders that cannot be domains, since these have classes in common."""
    first = set(folders(root / domains[0]))
    for name in domains[1:]:
        if first.isdisjoint(folders(root / name)):
            raise ValueError(
                f"data.root: {root}/{domains[0]} and {root}/{name} hold folders, and none of the "
                "same name: they are no domains of the same classes; give a data.list instead"
            )
