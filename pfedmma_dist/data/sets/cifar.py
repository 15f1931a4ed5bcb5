"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the folders that torchvision downloads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.config.keys import DataConfig, Statistics
from pfedmma_dist.data.images.arrays import Arrays
from pfedmma_dist.data.images.images import Images, Scaling
from pfedmma_dist.data.sets.folders import refuse_misplaced
from pfedmma_dist.data.sets.names import prompt_names
from pfedmma_dist.data.sets.pickles import load_plain

NUM_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar:
    """How one of the two is stored."""

    home: str  # torchvision's root, below data.root
    folder: str  # below that
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    names: str  # key of the class names in `meta`
    labels: str  # key of the labels in the others
    superclasses: str | None
    scaling: Scaling


CIFAR10 = Cifar(
    home="cifar-10",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test=("test_batch",),
    meta="batches.meta",
    names="label_names",
    labels="labels",
    superclasses=None,
    scaling=Scaling((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
)
CIFAR100 = Cifar(
    home="cifar-100",
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    names="fine_label_names",
    labels="fine_labels",
    superclasses="coarse_labels",
    scaling=Scaling((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
)


def cifar10(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read CIFAR-10: 10 classes, 50,000 training and 10,000 test images."""
    return _read(CIFAR10, cfg)


def cifar100(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read CIFAR-100: 100 classes in 20 superclasses, 50,000 training and 10,000 test images."""
    return _read(CIFAR100, cfg)


def _read(kind: Cifar, cfg: DataConfig) -> Images:
    root = Path(cfg.root).expanduser()
    homes = (kind.home, "")
    refuse_misplaced(root, homes, lambda home: (home / kind.folder).is_dir(), cfg.name, kind.folder)
    places = [root / kind.home / kind.folder, root / kind.folder]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise ValueError(
            f"data.root: neither {places[0]} nor {places[1]} is a folder; data.name={cfg.name} "
            f"expects what torchvision unpacks there, {', '.join(kind.train[:2])}, ..."
        )
    meta = load_plain(folder / kind.meta)
    names = meta.get(kind.names) if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"data.root: {folder / kind.meta} has no list {kind.names!r}")
    label_of, titles = prompt_names(names, cfg, folder)
    train, test = (
        [_batch(folder / file, kind, len(names)) for file in files]
        for files in (kind.train, kind.test)
    )
    batches = train + test
    raw = np.concatenate([labels for _, labels, _ in batches])
    labels = np.array([label_of.get(name, -1) for name in names], np.int64)[raw]
    rows = np.arange(len(raw), dtype=np.int64)
    rows, num_train = rows[labels >= 0], sum(len(own) for _, own, _ in train)
    superclasses = None
    if kind.superclasses:
        coarse = np.concatenate([own for _, _, own in batches])
        superclasses = np.zeros(len(titles), np.int64)
        superclasses[labels[rows]] = coarse[rows]
        if (superclasses[labels[rows]] != coarse[rows]).any():
            raise ValueError(f"data.root: {folder} gives images of one class to two superclasses")
        superclasses = np.unique(superclasses, return_inverse=True)[1]  # of chosen classes alone
    return Images(
        Arrays(folder, np.ascontiguousarray(np.concatenate([own for own, _, _ in batches]))),
        labels,
        titles,
        rows[rows < num_train],
        rows[rows >= num_train],
        superclasses=superclasses,
        scaling=kind.scaling if cfg.statistics is Statistics.own else None,
    )


def _batch(file: Path, kind: Cifar, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels [n, 32, 32, 3], labels [n] and coarse labels [n] of one file."""
    content = load_plain(file)
    if not isinstance(content, dict):
        raise ValueError(f"data.root: {file} holds no CIFAR batch; fetch it again")
    pixels = content.get("data")
    fine = _labels(content.get(kind.labels), num_classes)
    coarse = _labels(content.get(kind.superclasses), num_classes) if kind.superclasses else fine
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or fine is None
        or coarse is None
        or pixels.shape != (len(fine), NUM_BYTES)
        or len(coarse) != len(fine)
    ):
        raise ValueError(
            f"data.root: {file} does not hold {NUM_BYTES} bytes and one label "
            f"({kind.labels!r}, 0 to {num_classes - 1}) per image; fetch it again"
        )
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), fine, coarse


def _labels(values: Any, num_classes: int) -> np.ndarray | None:
    """Return labels as int64, None where they are none."""
    if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
        return None
    labels = np.array(values, np.int64)
    return labels if ((labels >= 0) & (labels < num_classes)).all() else None
