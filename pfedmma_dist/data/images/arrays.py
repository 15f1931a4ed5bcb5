"""Arrays: a store of images of one size that are held in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pfedmma_dist.data.images.images import Inspection, short_digest


@dataclass(frozen=True, eq=False)
class Arrays:
    """A store whose row i is `pixels[i]`."""

    folder: Path
    pixels: np.ndarray  # [N, H, W, 3] uint8

    span = 32  # a row costs microseconds, a task of a thread pool as much

    @property
    def place(self) -> str:
        """Name the folder that they were read from."""
        return str(self.folder)

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        """Return these rows as RGB images."""
        return [Image.fromarray(self.pixels[row]) for row in rows]

    def name(self, row: int) -> str:
        """Say which row it is."""
        return f"image {row} of {self.folder}"

    def labels(self, rows: np.ndarray) -> list[str]:
        """Return the numbers of these rows."""
        return [f"image {row}" for row in rows]

    def inspect(self, rows: np.ndarray) -> Inspection:
        """Digest the pixels of these rows; what is in memory cannot break."""
        digests = [short_digest(self.pixels[row].tobytes()) for row in rows]
        return Inspection([], np.array(digests, np.int64).reshape(-1, 2))
