"""Triggered: a store with copies of some of its images, which carry the trigger of a backdoor.

The trigger is a checkered square in the lower right corner of the image's centre (BadNets, Gu et
al., 2017), so that the crop that CLIP sees has it whole. A random view may lose it.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pfedmma_dist.data.images.images import Inspection, Store, short_digest

FIELDS = 4
"""Black and white fields along a side of the trigger, as far as it has so many pixels."""


@dataclass(frozen=True, eq=False)
class Triggered:
    """A store whose rows from `first` on are copies of rows of another one, with the trigger."""

    store: Store
    first: int
    copied: np.ndarray  # [n] int64, of which row each copy is
    side: float  # of the trigger, as a part of the image's shorter side

    @property
    def place(self) -> str:
        """Name the store itself."""
        return self.store.place

    @property
    def span(self) -> int:
        """Say how many rows are worth opening in one call."""
        return self.store.span

    def sources(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which row of the store itself each row is of, and whether it is a copy."""
        copies = rows >= self.first
        found = rows.copy()
        found[copies] = self.copied[rows[copies] - self.first]
        return found, copies

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        """Return these rows as RGB images."""
        sources, copies = self.sources(rows)
        opened = self.store.open(sources)
        return [
            with_trigger(image, self.side) if copy else image
            for image, copy in zip(opened, copies.tolist(), strict=True)
        ]

    def name(self, row: int) -> str:
        """Name one row."""
        [source], [copy] = self.sources(np.array([row]))
        return self.store.name(int(source)) + (" with a trigger" if copy else "")

    def labels(self, rows: np.ndarray) -> list[str]:
        """Name these rows within the store."""
        sources, copies = self.sources(rows)
        names = zip(self.store.labels(sources), copies.tolist(), strict=True)
        return [f"{name} with a trigger" if copy else name for name, copy in names]

    def inspect(self, rows: np.ndarray) -> Inspection:
        """Look at these rows; a copy's digest follows from that of what it is a copy of."""
        sources, copies = self.sources(rows)
        found = self.store.inspect(sources)
        bad = dict(found.unreadable)
        unreadable = [
            (int(row), bad[source])
            for row, source in zip(rows, sources.tolist(), strict=True)
            if source in bad
        ]
        content = found.content.copy()
        content[copies] = digests(found.content[copies], self.side)
        return Inspection(unreadable, content)


def digests(content: np.ndarray, side: float) -> np.ndarray:
    """Return the digests of copies [n, 2] int64 of images of such digests; zeros stay zeros."""
    found = [short_digest(f"trigger {FIELDS} {side}".encode() + row.tobytes()) for row in content]
    known = content.any(axis=1, keepdims=True)
    return np.where(known, np.array(found, np.int64).reshape(-1, 2), 0)


def with_trigger(image: Image.Image, side: float) -> Image.Image:
    """Return an RGB image with the trigger, of `side` times its shorter side."""
    shorter = min(image.size)
    size = max(1, round(side * shorter))
    fields = np.arange(size) * FIELDS // size
    light = (fields[:, None] + fields) % 2 == 0
    patch = Image.fromarray(np.where(light[:, :, None], 255, 0).repeat(3, axis=2).astype(np.uint8))
    right, low = ((length - shorter) // 2 + shorter for length in image.size)
    marked = image.copy()
    marked.paste(patch, (right - size, low - size))
    return marked
