"""Arrays: a store of images of one size that are held in memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


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

    def identity(self, rows: np.ndarray) -> str:
        """Return a hex digest of these rows' pixels."""
        digest = hashlib.blake2b(digest_size=16)
        for row in rows:
            digest.update(self.pixels[row].tobytes())
        return digest.hexdigest()

    def unreadable(self, rows: np.ndarray) -> list[tuple[int, str]]:
        """Return nothing: what is in memory cannot break."""
        return []
