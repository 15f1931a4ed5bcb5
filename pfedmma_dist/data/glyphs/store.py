"""Glyph images: a data set that is drawn when it is looked at, anew for every seed of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.data.images.images import Images, Inspection, short_digest

SPLITS = ("train", "test", "val")
"""In the order of rows, by the names that `glyphs.draw` knows them by."""

SPOKEN = ("training", "test", "validation")

DIGESTED = (False, True, "val")
"""How digests tell SPLITS apart; caches are found by them, so the first two stay what they were."""


@dataclass(frozen=True)
class GlyphStore:
    """A store of the training images, class by class, then of test and of validation images.

    Image i of a class has domain i % 6, so the domains share every class evenly.
    """

    seed: int
    difficulty: float
    gap: float
    train_per_class: int
    test_per_class: int
    val_per_class: int = 0

    span = 32  # half the time of single calls; larger ones would leave threads without work

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def per_class(self) -> np.ndarray:
        """Return how many images of a class each of SPLITS has, int64."""
        return np.array([self.train_per_class, self.test_per_class, self.val_per_class])

    @property
    def ends(self) -> np.ndarray:
        """Return the row behind the last of each of SPLITS, int64."""
        return len(glyphs.CLASSES) * np.cumsum(self.per_class)

    def splits(self, rows: np.ndarray) -> np.ndarray:
        """Return the position in SPLITS of these rows, int64."""
        return np.searchsorted(self.ends, rows, side="right")

    @property
    def place(self) -> str:
        """Name what is drawn, and the keys that say how much of it."""
        sizes = f"{self.train_per_class}, data.test_per_class={self.test_per_class}"
        return f"the glyphs of seed {self.seed} (data.train_per_class={sizes})"

    def keys(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class and the index within class and split of these rows, int64."""
        splits = self.splits(rows)
        first = self.ends - len(glyphs.CLASSES) * self.per_class
        return np.divmod(rows - first[splits], self.per_class[splits])

    def domains(self, rows: np.ndarray) -> np.ndarray:
        """Return the position in `glyphs.DOMAINS` of these rows, int64."""
        return self.keys(rows)[1] % len(glyphs.DOMAINS)

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        """Draw these rows."""
        (labels, indices), domains = self.keys(rows), self.domains(rows)
        pixels = np.empty((len(rows), glyphs.SIZE, glyphs.SIZE, 3), np.uint8)
        splits = self.splits(rows)
        for place, split in enumerate(SPLITS):
            own = splits == place
            if own.any():
                combos = glyphs.CLASSES[labels[own]]
                pixels[own], _ = glyphs.draw(
                    self.seed, split, combos, domains[own], indices[own], self.difficulty, self.gap
                )
        return [Image.fromarray(image) for image in pixels]

    def name(self, row: int) -> str:
        """Say which image of which class it is."""
        [label] = self.labels(np.array([row]))
        return f"glyph of seed {self.seed}: {label}"

    def labels(self, rows: np.ndarray) -> list[str]:
        """Say of each row which image of which class it is."""
        spoken, named = np.array(SPOKEN), [repr(name) for name in glyphs.CLASS_NAMES]
        labels, indices = (part.tolist() for part in self.keys(rows))
        splits = spoken[self.splits(rows)].tolist()
        return [
            f"{split} image {index} of {named[label]}"
            for split, index, label in zip(splits, indices, labels, strict=True)
        ]

    def inspect(self, rows: np.ndarray) -> Inspection:
        """Digest all that `draw` is given for these rows; what is drawn cannot break."""
        words = "|".join(map(str, [glyphs.VERSION, self.seed, self.difficulty, self.gap]))
        parts = self.splits(rows), *self.keys(rows)
        drawn = zip(*(part.tolist() for part in parts), strict=True)
        digests = [short_digest(f"{words}|{DIGESTED[s]}|{c}|{i}".encode()) for s, c, i in drawn]
        return Inspection([], np.array(digests, np.int64).reshape(-1, 2))


def glyph_images(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Return the embedded world's 100 classes in 6 domains; data.root is not looked at."""
    num_val = max(1, round(cfg.validation * cfg.train_per_class)) if cfg.validation else 0
    store = GlyphStore(
        seed, cfg.difficulty, cfg.style_gap, cfg.train_per_class, cfg.test_per_class, num_val
    )
    rows = np.arange(len(store))
    train, test, val = np.split(rows, store.ends[:-1])
    return Images(
        store,
        labels=store.keys(rows)[0],
        class_names=glyphs.CLASS_NAMES,
        train=train,
        test=test,
        val=val,
        domains=store.domains(rows),
        domain_names=glyphs.DOMAINS,
        superclasses=glyphs.CLASSES // len(glyphs.SHAPES),  # one for each pattern
    )
