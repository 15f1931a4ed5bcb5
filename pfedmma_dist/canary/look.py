"""Look: the test images of a data set through the untouched CLIP, and how many it gets right."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.canary.published import BAND, Halves
from pfedmma_dist.clip.cache import FreshFeatures
from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FINAL, FrozenCLIP
from pfedmma_dist.data.images.images import Images, Scaling
from pfedmma_dist.data.images.pixels import PixelLoader

BATCH = 64


@dataclass(frozen=True)
class Sight:
    """What zero-shot CLIP makes of the test images of a set."""

    accuracy: Halves  # percent
    counts: tuple[int, int]  # test images of the base and of the novel classes
    split: str  # hex digest of which images are tests, and of what class

    def band(self, published: Halves, *, same_images: bool) -> Halves:
        """Return how far each accuracy may be from the published one.

        Where the split is another, so are the images: two standard errors of that many are added.
        """
        if same_images:
            return Halves(BAND, BAND)
        errors = (100 * math.sqrt(p / 100 * (1 - p / 100) / max(1, n)) for p, n in zip(
            published, self.counts, strict=True
        ))  # fmt: skip
        return Halves(*(BAND + 2 * error for error in errors))


def look(clip: FrozenCLIP, images: Images, template: str, advance: Callable[[int], None]) -> Sight:
    """Classify all test images, each among the classes of its half.

    advance: is told how many images were done.
    """
    vectors = class_text(clip, images.class_names, template).plain.cpu()  # refuses unknown words
    rows = np.sort(images.test)
    found = encoded(clip, images, rows, advance)
    labels = torch.from_numpy(images.labels[rows])
    num_base = -(-len(images.class_names) // 2)
    is_base = labels < num_base
    halves = Halves(
        accuracy(found[is_base], vectors[:num_base], labels[is_base]),
        accuracy(found[~is_base], vectors[num_base:], labels[~is_base] - num_base),
    )
    num = int(is_base.sum())
    return Sight(halves, (num, len(rows) - num), split_digest(images, rows))


def encoded(
    clip: FrozenCLIP, images: Images, rows: np.ndarray, advance: Callable[[int], None]
) -> Tensor:
    """Return unit vectors [n, D] of the centre crops of image rows [n], on the CPU."""
    scaling = images.scaling or Scaling(clip.mean, clip.std)
    pixels = PixelLoader(images, clip.dims.image_size, scaling.mean, scaling.std, seed=0)
    features, found = FreshFeatures(clip, pixels), []
    for begin in range(0, len(rows), BATCH):
        part = rows[begin : begin + BATCH]
        read = features.rows(FINAL, (part, np.zeros_like(part)))
        assert isinstance(read, Tensor)
        found.append(clip.encode_image(read, FINAL).cpu())
        advance(len(part))
    return torch.cat(found)


def accuracy(images: Tensor, vectors: Tensor, labels: Tensor) -> float:
    """Return the percent of unit vectors [n, D] that are nearest to their class's [C, D]; nan of
    none."""
    if not len(images):
        return math.nan
    return 100 * float((images @ vectors.mT).argmax(dim=1).eq(labels).double().mean())


def split_digest(images: Images, rows: np.ndarray) -> str:
    """Return a digest of the names of images and of their classes, wherever they lie."""
    digest = hashlib.sha256()
    for name, label in zip(images.store.labels(rows), images.labels[rows], strict=True):
        digest.update(f"{name}\t{images.class_names[label]}\n".encode())
    return digest.hexdigest()[:16]
