"""Pixels: decoded, cropped, normalised, a bounded distance ahead of who needs them.

The transforms are those of the published code (torchvision's Resize + CenterCrop, and its
RandomResizedCrop + flip), written in Pillow and numpy. A pixel is a function of (seed, row, view):
neither the number of threads nor the order or the grouping of the requests can reach it.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import PIL
import torch
from PIL import Image, features
from torch import Tensor

from pfedmma_dist import rng
from pfedmma_dist.data.images.images import Images

VERSION = 1
"""Of all that makes pixels of an opened or stored image, here and in files.py: raise it with any
change that reaches a pixel, so that features of the pixels from before are not used again."""

BICUBIC = Image.Resampling.BICUBIC
AREA = (0.08, 1.0)  # share of the image in a random crop
RATIO = (3 / 4, 4 / 3)  # its width over its height
TRIES = 10
AHEAD = 2  # chunks decoded before they are asked for

Box = tuple[int, int, int, int]


def centre_crop(image: Image.Image, size: int) -> Image.Image:
    """Scale the shorter side to `size` and keep the centre, with torchvision's rounding."""
    width, height = image.size
    if width == height == size:
        return image
    if width <= height:
        width, height = size, int(size * height / width)
    else:
        width, height = int(size * width / height), size
    left, top = round((width - size) / 2), round((height - size) / 2)
    scaled = image.resize((width, height), BICUBIC)
    return scaled.crop((left, top, left + size, top + size))


def random_view(image: Image.Image, size: int, generator: np.random.Generator) -> Image.Image:
    """Scale a random part of the image to `size` x `size` and flip it every other time."""
    view = image.crop(_random_box(*image.size, generator)).resize((size, size), BICUBIC)
    flip = generator.random() < 0.5
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else view


def normalised(
    image: Image.Image, size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Tensor:
    """Return the centre crop of an RGB image, [3, size, size] float32, bit for bit as view 0."""
    out = np.empty((3, size, size), np.float32)
    _normalise(np.asarray(centre_crop(image, size)), out, mean, std)
    return torch.from_numpy(out)


def _normalise(
    pixels: np.ndarray,  # [..., H, W, 3] uint8
    out: np.ndarray,  # [..., 3, H, W] float32, filled
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    np.divide(np.moveaxis(pixels, -1, -3), 255, out=out, dtype=np.float32)
    out -= np.asarray(mean, np.float32)[:, None, None]
    out /= np.asarray(std, np.float32)[:, None, None]


def made_by() -> str:
    """Name the versions of all that can change a pixel: our own, Pillow, and the decoders that
    round as they like. A PNG is the same to every decoder."""
    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    webp = features.version("webp")
    return f"transforms {VERSION}, Pillow {PIL.__version__}, libjpeg {jpeg}, libwebp {webp}"


@dataclass(frozen=True, eq=False)
class PixelLoader:
    """Normalised pixels of (row, view). View 0 is the centre crop, every other a random one.

    It opens in as many threads as torch computes in, which is this rank's share of the cores, and
    as many rows at once as the store asks for.
    """

    images: Images
    size: int  # pixels per side
    mean: tuple[float, ...]  # [3] of values in 0..1
    std: tuple[float, ...]  # [3]
    seed: int

    @property
    def made_by(self) -> str:
        """Return the versions of all that can change a pixel."""
        return made_by()

    def batch(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """Return these images in their order, [n, 3, size, size] float32."""
        [pixels] = self.stream([(rows, views)])
        return pixels

    def stream(self, chunks: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[Tensor]:
        """Yield one batch per (rows, views), in order, decoding at most two batches ahead.

        An unreadable image raises when the batch that holds it is due.
        """
        waiting: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            try:
                for rows, views in chunks:
                    waiting.append(self._start(pool, rows, views))
                    if len(waiting) > AHEAD:
                        yield _finish(waiting)
                while waiting:
                    yield _finish(waiting)
            finally:
                pool.shutdown(cancel_futures=True)  # the consumer may leave early

    def _start(
        self, pool: ThreadPoolExecutor, rows: np.ndarray, views: np.ndarray
    ) -> tuple[np.ndarray, list[Future[None]]]:
        """Put the spans of one batch to work, each into its own slots."""
        assert len(rows) == len(views)
        out = np.empty((len(rows), 3, self.size, self.size), np.float32)
        starts = range(0, len(rows), self.images.store.span)
        spans = [slice(start, start + self.images.store.span) for start in starts]
        return out, [pool.submit(self._fill, out[s], rows[s], views[s]) for s in spans]

    def _fill(self, out: np.ndarray, rows: np.ndarray, views: np.ndarray) -> None:
        """Write a span. In numpy, since torch would start threads of its own in each thread."""
        assert (views >= 0).all()
        opened = self.images.store.open(rows)
        seen = (self._view(*each) for each in zip(opened, rows, views, strict=True))
        pixels = np.stack([np.asarray(image) for image in seen])
        _normalise(pixels, out, self.mean, self.std)

    def _view(self, image: Image.Image, row: int, view: int) -> Image.Image:
        """Return a view of an opened row."""
        if view == 0:
            return centre_crop(image, self.size)
        return random_view(image, self.size, rng.generator(self.seed, "augment", row, view))


def _finish(waiting: deque[tuple[np.ndarray, list[Future[None]]]]) -> Tensor:
    """Return the oldest batch once all its images are there."""
    out, spans = waiting.popleft()
    for span in spans:
        span.result()
    return torch.from_numpy(out)


def _random_box(width: int, height: int, generator: np.random.Generator) -> Box:
    """Draw (left, top, right, bottom); very long images fall back to their central part."""
    for _ in range(TRIES):
        area = width * height * generator.uniform(*AREA)
        ratio = math.exp(generator.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left = int(generator.integers(width - wide + 1))
            top = int(generator.integers(height - high + 1))
            return left, top, left + wide, top + high
    wide = min(width, round(height * RATIO[1]))
    high = min(height, round(width / RATIO[0]))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high
