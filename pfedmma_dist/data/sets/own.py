"""Your own images: a list of them, or folders in one of three layouts."""

import logging
from pathlib import Path

from pfedmma_dist.config.keys import DataConfig, Layout
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.account import BESIDE, VAL_HALF
from pfedmma_dist.data.sets.domains import domain_tree
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.folders import (
    class_entries,
    class_folders,
    folders,
    nearby,
    readable_folders,
)
from pfedmma_dist.data.sets.halves import hint_of, part_of, parts_of
from pfedmma_dist.data.sets.layout import half_folders, is_layout, recognised, refuse_domains_in
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.data.sets.lists import read_list
from pfedmma_dist.data.sets.split import OWN_SHARES, draw

log = logging.getLogger(__name__)


def folder(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read your own images: <class>/* with or without {train,test}/ or <domain>/ above, or a list.

    The sorted class folders are the labels. Where neither folders nor the list say what is for
    testing, a seeded split keeps 30 % of every class for it.
    """
    root = Path(cfg.root).expanduser()
    if cfg.list is not None:
        for key in ("layout", "nested"):
            if getattr(cfg, key) != getattr(DataConfig(), key):
                raise ValueError(
                    f"data.{key}: data.list={cfg.list} names every image itself; leave one out"
                )
        return read_list(cfg, root, splits)
    layout = (
        f"folder expects {root}/{{train,test}}/<class>/*, {root}/<class>/* or "
        f"{root}/<domain>/<class>/*"
    )
    if not root.is_dir() or not folders(root):
        near = nearby(root, is_layout)
        layout += f"; set data.root={near}, which holds such" if near else ""
    names = class_folders(root, layout)
    kind = cfg.layout
    if kind is Layout.auto:
        kind = recognised(root, names, cfg.nested, layout)
    if kind is Layout.halves:
        parts = {**parts_of(names, hint_of), **parts_of(names)}
        train, test = half_folders(root, parts)
        entries, used = halves(cfg, root, train, test), {train, test}
        for name in parts.get(Part.val, ()) if cfg.validation else ():
            if name not in used:  # without a test half it is that one
                entries += _validation_half(cfg, root, name, train)
                used.add(name)
        left = {
            f"{name}/": VAL_HALF if part_of(name) is Part.val else BESIDE
            for name in names
            if name not in used
        }
        return to_images(entries, root, root, cfg, left=left)
    if kind is Layout.classes:
        strata = class_entries(root, "", names, layout, nested=cfg.nested)
        drawn = draw(cfg.name, strata, OWN_SHARES, splits)
        _tell_of_other_half(root)
        return to_images(drawn, root, root, cfg)
    return domain_tree(cfg, root, {name: name for name in names}, layout, splits)


def halves(cfg: DataConfig, root: Path, train: str, test: str) -> list[Entry]:
    """Return the images of <train>/<class>/* and <test>/<class>/*."""
    layout = f"{cfg.name} expects {root}/{train}/<class>/* and {root}/{test}/<class>/*"
    names = class_folders(root / train, layout)
    others = class_folders(root / test, layout)
    if names != others:
        lonely = sorted(set(names).symmetric_difference(others))
        where, other = (train, test) if lonely[0] in names else (test, train)
        raise ValueError(
            f"data.root: {len(lonely)} classes are only in one of {root}/{train} and {root}/{test}"
            f", the first is {lonely[0]!r}, in {where} but not in {other}"
        )
    if not cfg.nested:
        refuse_domains_in(root, train, names)
    entries: list[Entry] = []
    for part, within in ((Part.train, train), (Part.test, test)):
        found = class_entries(root, f"{within}/", names, layout, part, nested=cfg.nested)
        entries.extend(entry for own in found for entry in own)
    if part_of(test) is Part.val:
        log.info("data.root: %s is the test half, as there is no other", root / test)
    return entries


def _validation_half(cfg: DataConfig, root: Path, half: str, train: str) -> list[Entry]:
    """Return the images of <half>/<class>/*; a class need not be there."""
    names = class_folders(root / half, f"{cfg.name} expects {root}/{half}/<class>/*")
    unknown = sorted(set(names).difference(folders(root / train)))
    if unknown:
        raise ValueError(
            f"data.root: {len(unknown)} classes of {root}/{half} are not in {root}/{train}, the "
            f"first is {unknown[0]!r}; move them away, or set data.validation=0 to leave {half} out"
        )
    expected = f"{cfg.name} expects {root}/{half}/<class>/*"
    found = class_entries(root, f"{half}/", names, expected, Part.val, nested=cfg.nested)
    return [entry for own in found for entry in own]


def _tell_of_other_half(root: Path) -> None:
    """Say where `root` is a half itself, whose other one lies beside it."""
    root = root.absolute()
    part = part_of(root.name)
    beside = parts_of(readable_folders(root.parent)) if part else {}
    other = Part.test if part is Part.train else Part.train
    if other in beside:
        log.warning(
            "data.root: %s is read alone and split, though %s lies beside it; data.root=%s reads "
            "both",
            root, beside[other][0], root.parent,
        )  # fmt: skip
