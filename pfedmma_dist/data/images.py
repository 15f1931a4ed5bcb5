"""Images: what a data set consists of, known without opening one image file."""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"}
)
"""Files that count as images, by lower-case suffix."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
"""Decoders that are tried, whatever the suffix says. Naming them keeps interpreters such as
PostScript's out, and makes Pillow's lazy plugin loading safe when threads open the first file."""

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on damaged files: seen on 75,000 cut or altered ones, or caught by itself."""

CHECK_SPAN = 64  # images per task of `unreadable`: a million images must not become a million tasks


class UnreadableImage(ValueError):
    """An image file that cannot be decoded to its last byte."""

    def __init__(self, path: Path, reason: str):
        super().__init__(
            f"data.root: {path} cannot be read as an image: {reason}; replace the file, or set "
            "data.skip_corrupt=true to leave out such images"
        )
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Images:
    """A data set as lists: row i is the file `paths[i]` of class `labels[i]`.

    Rows in neither `train` nor `test` are never read.
    """

    root: Path
    paths: tuple[str, ...]  # [N] relative to root, with forward slashes
    labels: np.ndarray  # [N] int64, positions in class_names
    class_names: tuple[str, ...]  # as they stand in a prompt
    train: np.ndarray  # [n] int64 rows, ascending
    test: np.ndarray  # [m] int64 rows, ascending

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, row: int) -> Path:
        """Return the file of a row."""
        return self.root / self.paths[row]

    def open(self, row: int) -> Image.Image:
        """Decode a row to RGB. A damaged, empty, oversized or foreign file raises ValueError.

        EXIF orientation is ignored, as in the published code.
        """
        path = self.path(row)
        try:
            with Image.open(path, formats=FORMATS) as image:
                return image.convert("RGB")
        except BROKEN as error:
            raise UnreadableImage(path, _reason(path, error)) from error

    def identity(self, rows: np.ndarray) -> str:
        """Return a hex digest of path, size and modification time of these rows, in their order.

        It tells whether features computed from them may be used again, without reading a pixel.
        """
        digest = hashlib.blake2b(digest_size=16)
        for row in rows:
            stat = os.stat(os.path.join(self.root, self.paths[row]))
            digest.update(os.fsencode(self.paths[row]))
            digest.update(struct.pack("<xqq", stat.st_size, stat.st_mtime_ns))
        return digest.hexdigest()


def unreadable(images: Images, rows: np.ndarray) -> list[tuple[int, str]]:
    """Decode these rows and return (row, reason) of those that fail, in the order of `rows`."""

    def check(span: np.ndarray) -> Iterator[tuple[int, str]]:
        for row in span.tolist():
            try:
                images.open(row)
            except UnreadableImage as error:
                yield row, error.reason

    spans = [rows[start : start + CHECK_SPAN] for start in range(0, len(rows), CHECK_SPAN)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # Pillow decodes without the GIL
        found = pool.map(lambda span: list(check(span)), spans)
        return [failure for failures in found for failure in failures]


def without(images: Images, rows: np.ndarray) -> Images:
    """Return the images with these rows neither trained nor tested on.

    Rows keep their numbers, so augmentations drawn by row do not move when a file breaks.
    """
    return replace(
        images,
        train=images.train[~np.isin(images.train, rows)],
        test=images.test[~np.isin(images.test, rows)],
    )


def _reason(path: Path, error: BaseException) -> str:
    """Say in a few words what is wrong with a file that did not decode."""
    if isinstance(error, UnidentifiedImageError):
        empty = path.stat().st_size == 0
        return "the file is empty" if empty else f"not an image in one of {', '.join(FORMATS)}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
