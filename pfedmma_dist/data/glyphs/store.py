"""Glyph images: a data set that is drawn when it is looked at, anew for every seed of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.data.images.images import Images, Inspection, short_digest


@dataclass(frozen=True)
class GlyphStore:
    """A store of the training images, class by class, and then of the test images likewise.

    Image i of a class has domain i % 6, so the domains share every class evenly.
    """

    seed: int
    difficulty: float
    gap: float
    train_per_class: int
    test_per_class: int

    span = 32  # half the time of single calls; larger ones would leave threads without work

    def __len__(self) -> int:
        return len(glyphs.CLASSES) * (self.train_per_class + self.test_per_class)

    @property
    def num_train(self) -> int:
        """Number of the training images, which are the first rows."""
        return len(glyphs.CLASSES) * self.train_per_class

    @property
    def place(self) -> str:
        """Name what is drawn, and the keys that say how much of it."""
        sizes = f"{self.train_per_class}, data.test_per_class={self.test_per_class}"
        return f"the glyphs of seed {self.seed} (data.train_per_class={sizes})"

    def keys(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class and the index within class and split of these rows, int64."""
        tested = rows >= self.num_train
        per_class = np.where(tested, self.test_per_class, self.train_per_class)
        labels, indices = np.divmod(rows - self.num_train * tested, per_class)
        return labels, indices

    def domains(self, rows: np.ndarray) -> np.ndarray:
        """Return the position in `glyphs.DOMAINS` of these rows, int64."""
        return self.keys(rows)[1] % len(glyphs.DOMAINS)

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        """Draw these rows."""
        (labels, indices), domains = self.keys(rows), self.domains(rows)
        pixels = np.empty((len(rows), glyphs.SIZE, glyphs.SIZE, 3), np.uint8)
        tested = rows >= self.num_train
        for split, own in (("train", ~tested), ("test", tested)):
            if own.any():
                combos = glyphs.CLASSES[labels[own]]
                pixels[own], _ = glyphs.draw(
                    self.seed, split, combos, domains[own], indices[own], self.difficulty, self.gap
                )
        return [Image.fromarray(image) for image in pixels]

    def name(self, row: int) -> str:
        """Say which image of which class it is."""
        return f"glyph of seed {self.seed}: {self.label(row)}"

    def label(self, row: int) -> str:
        """Say which image of which class it is."""
        [label], [index] = self.keys(np.array([row]))
        split = "training" if row < self.num_train else "test"
        return f"{split} image {index} of {glyphs.CLASS_NAMES[label]!r}"

    def inspect(self, rows: np.ndarray) -> Inspection:
        """Digest all that `draw` is given for these rows; what is drawn cannot break."""
        words = "|".join(map(str, [glyphs.VERSION, self.seed, self.difficulty, self.gap]))
        drawn = zip(rows >= self.num_train, *self.keys(rows), strict=True)
        digests = [short_digest(f"{words}|{tested}|{c}|{i}".encode()) for tested, c, i in drawn]
        return Inspection([], np.array(digests, np.int64).reshape(-1, 2))


def glyph_images(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Return the embedded world's 100 classes in 6 domains; data.root is not looked at."""
    store = GlyphStore(seed, cfg.difficulty, cfg.style_gap, cfg.train_per_class, cfg.test_per_class)
    rows = np.arange(len(store))
    return Images(
        store,
        labels=store.keys(rows)[0],
        class_names=glyphs.CLASS_NAMES,
        train=rows[: store.num_train],
        test=rows[store.num_train :],
        domains=store.domains(rows),
        domain_names=glyphs.DOMAINS,
        superclasses=glyphs.CLASSES // len(glyphs.SHAPES),  # one for each pattern
    )
