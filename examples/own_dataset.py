"""A data set of your own, out of arrays: data.name=boards with plugins=[examples/own_dataset.py].

It reads DIR/boards.npz, where DIR is data.root: train_images and test_images [n, H, W, 3] uint8,
train_labels and test_labels [n], class_names [C]. `python -m examples.own_dataset DIR` draws such a
file of 6 classes of plain shapes, whose names the mini-CLIP of the embedded world can read.

Images in folders need no plugin: data.name=folder reads them.
"""

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.arrays import Arrays
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.registry import register

FILE = "boards.npz"
CORNERS = {"triangle": 3, "square": 4, "hexagon": 6, "circle": 60, "star": 5, "cross": 4}
KEYS = ("train_images", "train_labels", "test_images", "test_labels", "class_names")


@register("boards", template="a photo of a {}.")
def boards(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read boards: the arrays of DIR/boards.npz, where DIR is data.root."""
    path = Path(cfg.root).expanduser() / FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            pixels, labels, test_pixels, test_labels, names = (file[key] for key in KEYS)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        remedy = "python -m examples.own_dataset DIR draws one"
        raise ValueError(f"data.root: {path} cannot be read ({error}); {remedy}") from error
    rows, num_train = np.arange(len(labels) + len(test_labels), dtype=np.int64), len(labels)
    return Images(
        store=Arrays(path.parent, np.concatenate([pixels, test_pixels])),
        labels=np.concatenate([labels, test_labels]).astype(np.int64),
        class_names=tuple(map(str, names)),
        train=rows[:num_train],
        test=rows[num_train:],
    )


def shape(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return a picture [64, 64, 3] of a plain shape in two colours."""
    ground, ink = (tuple(rng.integers(*span, 3).tolist()) for span in ((0, 90), (150, 256)))
    image = Image.new("RGB", (64, 64), ground)
    pen, (x, y), size = ImageDraw.Draw(image), rng.uniform(28, 36, 2), rng.uniform(16, 24)
    turns = np.arange(2 * CORNERS[name]) / CORNERS[name] * np.pi + rng.uniform(-0.2, 0.2)
    if name == "cross":
        pen.rectangle((x - size, y - size / 3, x + size, y + size / 3), fill=ink)
        pen.rectangle((x - size / 3, y - size, x + size / 3, y + size), fill=ink)
    else:
        reach = size * np.where(np.arange(len(turns)) % 2, 0.4 if name == "star" else 1.0, 1.0)
        step = 1 if name == "star" else 2
        corners = np.stack([x + reach * np.sin(turns), y - reach * np.cos(turns)], axis=1)[::step]
        pen.polygon([tuple(corner) for corner in corners.tolist()], fill=ink)
    return np.asarray(image)


def draw(folder: Path, per_class: int = 24, seed: int = 0) -> Path:
    """Draw a file of all shapes; return it."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {"class_names": [f"plain {name}" for name in CORNERS]}
    for part in ("train", "test"):
        labels = np.repeat(np.arange(len(CORNERS)), per_class)
        arrays[f"{part}_images"] = np.stack([shape([*CORNERS][i], rng) for i in labels])
        arrays[f"{part}_labels"] = labels
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / FILE, **arrays)
    return folder / FILE


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m examples.own_dataset DIR")
    sys.stdout.write(f"{draw(Path(sys.argv[1]))}\n")
