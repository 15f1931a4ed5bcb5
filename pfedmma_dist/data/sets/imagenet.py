"""ImageNet (ILSVRC 2012) in CoOp's layout, tested on the official validation images."""

from pathlib import Path

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.account import BESIDE
from pfedmma_dist.data.sets.entry import Part
from pfedmma_dist.data.sets.folders import folders, refuse_misplaced
from pfedmma_dist.data.sets.halves import parts_of
from pfedmma_dist.data.sets.layout import half_folders
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.data.sets.own import halves
from pfedmma_dist.data.sets.prompt import prompted
from pfedmma_dist.data.sets.tables import encoding_of

TEMPLATE = "a photo of a {}."
"""CoOp's zero-shot prompt."""

TWINS = {"n04008634": "projectile", "n04355933": "sunglass"}
"""CLIP's list calls two pairs of classes alike, `missile` and `sunglasses`. Nothing can tell these
apart, so one of each pair goes by its name in WordNet."""


@prompted(TEMPLATE)
def imagenet(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read ImageNet in CoOp's layout (1,000 classes), named by CoOp's classnames.txt."""
    data = Path(cfg.root).expanduser()
    refuse_misplaced(
        data, ("imagenet",), lambda home: (home / "images").is_dir(), cfg.name, "images"
    )
    root, file = data / "imagenet" / "images", data / "imagenet" / "classnames.txt"
    train, test = _halves(root)
    entries = halves(cfg, root, train, test)
    titles = titles_of(file)
    for name in sorted({entry.name for entry in entries}):
        if name not in titles:
            raise ValueError(f"data.root: {file} has no name for {name}, a folder of {root}")
    left = {f"{name}/": BESIDE for name in folders(root) if name not in (train, test)}
    return to_images(entries, root, root, cfg, published=titles, left=left)


def _halves(root: Path) -> tuple[str, str]:
    """Return the folders of training and validation images; an official test folder has no labels.

    Where one is missing, its usual name.
    """
    parts = parts_of(folders(root)) if root.is_dir() else {}
    usual = {Part.train: ["train"], Part.val: ["val"]}
    return half_folders(root, {part: parts.get(part, names) for part, names in usual.items()})


def titles_of(file: Path) -> dict[str, str]:
    """Return folder -> name of lines such as `n01440764 tench`."""
    try:
        lines = file.read_text(encoding=encoding_of(file, "data.root")).splitlines()
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"data.root: cannot read {file} ({error}); get classnames.txt by the link in CoOp's "
            "DATASETS.md and put it there"
        ) from error
    titles = {}
    for number, line in enumerate(lines, 1):
        folder, _, title = line.strip().replace("\t", " ").partition(" ")
        if folder and not title:
            raise ValueError(f"data.root: {file}, line {number}: {line!r} has no name")
        titles[folder] = title
    names = list(titles.values())
    better = {
        key: name for key, name in TWINS.items() if key in titles and names.count(titles[key]) > 1
    }
    return {**titles, **better}
