"""Files: images that lie in a folder, decoded one by one."""

import os
import struct
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pfedmma_dist.data.images.images import Inspection, short_digest
from pfedmma_dist.spelling import spelled_path

AVIF = find_spec("PIL._avif") is not None
"""Whether this Pillow decodes AVIF, as 11.3 and newer do unless they were built without it."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".bmp"}
    | {".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff"}
    | ({".avif"} if AVIF else set())
)
"""Files that count as images, by lower-case suffix."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF", *(["AVIF"] if AVIF else []))
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
    Image.DecompressionBombWarning,
)
"""What Pillow raises on damaged files: seen on 75,000 cut or altered ones, or caught by itself.

From 89 million pixels (`Image.MAX_IMAGE_PIXELS`; 358 MB once decoded) Pillow warns and goes on, as
the published code does and we do; at twice that it refuses. The warning is an error only to those
who ask Python for that.
"""

HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of files that phones, too, may call .jpg."""

NUM_TOLD = 12
"""Bytes at the start of a file that tell what it is instead of an image."""

HIGH_BYTE = 8  # bits to shift 16-bit grey down by

CHECK_SPAN = 16
"""Files per task of `inspect`, which all threads finish before a Ctrl-C is obeyed."""

CHECK_SPANS = 1024
"""Tasks of `inspect` at once: a million files must not become as many waiting ones."""


class UnreadableImage(ValueError):
    """An image file that cannot be decoded to its last byte."""

    def __init__(self, path: Path, reason: str):
        super().__init__(
            f"data.root: {spelled_path(path)} cannot be read as an image: {reason}; replace the "
            "file, or set data.skip_corrupt=true to leave out such images"
        )
        self.reason = reason


@dataclass(frozen=True)
class Files:
    """A store whose row i is the file `paths[i]`."""

    root: Path
    paths: tuple[str, ...]  # [N] relative to root, with forward slashes
    home: str = ""  # folder below root that holds the data set, where root holds others too
    source: str = ""  # the list that names the paths; empty: they were found in folders
    left: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Path, or folder with a slash at its end -> why its reader left it out."""

    span = 1  # a file shares nothing with the next one, so threads take them one by one

    @property
    def place(self) -> str:
        """Name the folder."""
        return str(self.root)

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        """Decode these files to RGB. A damaged, empty, oversized or foreign one raises ValueError.

        As in the published code, `convert("RGB")` decides: EXIF orientation is ignored, and so is
        transparency, whatever colour lies under it. Grey beyond 8 bits differs, see `to_rgb`.
        """
        return [self._decode(row) for row in rows]

    def name(self, row: int) -> str:
        """Return the path of a file, as people can read it."""
        return spelled_path(self.root / self.paths[row])

    def labels(self, rows: np.ndarray) -> list[str]:
        """Return the paths of these files within the folder."""
        paths = (os.fsencode(self.paths[row]) for row in rows)
        return [path.decode("utf-8", "backslashreplace") for path in paths]

    def inspect(self, rows: np.ndarray) -> Inspection:
        """Decode these files and digest their bytes, which the system has at hand by then."""
        import torch  # which who only lists files does not wait for

        content, root = np.zeros((len(rows), 2), np.int64), str(self.root)

        def check(places: range) -> list[tuple[int, str]]:
            failures = []
            for place in places:
                row = int(rows[place])
                try:
                    self._decode(row)
                    content[place] = file_digest(f"{root}/{self.paths[row]}")
                except UnreadableImage as error:
                    failures.append((row, error.reason))
            return failures

        ends = range(0, len(rows), CHECK_SPAN)
        spans = [range(start, min(start + CHECK_SPAN, len(rows))) for start in ends]
        found: list[tuple[int, str]] = []
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # Pillow decodes without the GIL
            for start in range(0, len(spans), CHECK_SPANS):
                for failures in pool.map(check, spans[start : start + CHECK_SPANS]):
                    found += failures
        return Inspection(found, content)

    def _decode(self, row: int) -> Image.Image:
        path = self.root / self.paths[row]
        try:
            with Image.open(path, formats=FORMATS) as image:
                return to_rgb(image)
        except BROKEN as error:
            start = b""
            if isinstance(error, UnidentifiedImageError):
                with open(path, "rb") as file:
                    start = file.read(NUM_TOLD)
            raise UnreadableImage(path, reason(error, start)) from error


def file_digest(path: str) -> tuple[int, int]:
    """Return the digest of a file's bytes. Buffers and Path objects would add a third to it."""
    with open(path, "rb", buffering=0) as file:
        return short_digest(file.readall())


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as RGB.

    Pillow's own conversion clips 16-bit grey, so that all but the darkest 255 of 65,536 levels turn
    white; here each keeps its high byte, as Pillow itself does with 16-bit colour. Grey of 32 bits
    or floats (TIFF) has no agreed white and is refused.
    """
    # What PGM, and PNG in older Pillows, hand over as 32 bits are 16-bit levels.
    wide = image.mode == "I" and image.format in ("PNG", "PPM")
    if wide or image.mode.startswith("I;16"):
        high = np.asarray(image) >> HIGH_BYTE
        return Image.fromarray(high.astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("its grey levels of 32 bits have no agreed white, save it with 8 bits")
    if image.mode == "RGB":
        image.load()
        return image  # convert would copy it, which doubles the time of a large photograph
    image.info.pop("transparency", None)  # unused, and Pillow would warn that it is
    return image.convert("RGB")


def reason(error: BaseException, start: bytes) -> str:
    """Say in a few words what is wrong with an image that did not decode.

    start: its first NUM_TOLD bytes; needed for what Pillow cannot identify.
    """
    if isinstance(error, UnidentifiedImageError):
        if not start:
            return "the file is empty"
        if start[4:8] == b"ftyp" and start[8:NUM_TOLD] in HEIC:
            return "it is HEIC by its content, which pillow-heif can convert to JPEG"
        if start[:NUM_TOLD] == b"version http":
            return "a pointer of Git LFS in place of the image, which git lfs pull fetches"
        return f"not an image in one of {', '.join(FORMATS)}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
