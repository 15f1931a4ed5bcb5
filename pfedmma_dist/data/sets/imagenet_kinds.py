"""Other kinds of ImageNet's images, to be scored on alone, in CoOp's layout: V2, Sketch, A and R.

Nobody trains on them: they say how what was trained on ImageNet does in another domain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.entry import Part
from pfedmma_dist.data.sets.folders import class_entries, class_folders, refuse_misplaced
from pfedmma_dist.data.sets.imagenet import TEMPLATE, titles_of
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.data.sets.prompt import prompted


@dataclass(frozen=True)
class Kind:
    """Where such a set lies below data.root."""

    home: str
    images: str  # image folder below that
    numbered: bool = False  # folders are called by the number of their class, 0 to 999


KINDS = {
    "imagenet_v2": Kind("imagenetv2", "imagenetv2-matched-frequency-format-val", numbered=True),
    "imagenet_sketch": Kind("imagenet-sketch", "images"),
    "imagenet_a": Kind("imagenet-adversarial", "imagenet-a"),
    "imagenet_r": Kind("imagenet-rendition", "imagenet-r"),
}


def reader(name: str) -> Callable[[DataConfig, int, Path], Images]:
    """Return the source of one of them, whose classes have ImageNet's names, in its order."""
    kind = KINDS[name]

    @prompted(TEMPLATE)
    def read(cfg: DataConfig, seed: int, splits: Path) -> Images:
        data = Path(cfg.root).expanduser()
        refuse_misplaced(
            data, (kind.home,), lambda home: (home / kind.images).is_dir(), name, kind.images
        )
        root, file = data / kind.home / kind.images, data / kind.home / "classnames.txt"
        expected = f"{name} expects {root}/<class>/*"
        folders = class_folders(root, expected)
        titles = titles_of(file)
        class_of = {str(n) if kind.numbered else own: own for n, own in enumerate(titles)}
        for folder in folders:
            if folder not in class_of:
                raise ValueError(f"data.root: {file} has no name for {folder}, a folder of {root}")
        found = class_entries(root, "", folders, expected, Part.test)
        entries = [one._replace(name=class_of[one.name]) for own in found for one in own]
        return to_images(entries, root, root, cfg, published=titles, tested_only=True)

    return read
