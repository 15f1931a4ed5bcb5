"""Noise in place of images, and feature caches of it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from slow_form import DEPTH, SIDE, random_clip
from torch import Tensor

from pfedmma_dist.clip.cache import FeatureCache, Views, build
from pfedmma_dist.clip.model import FINAL, FrozenCLIP, ImageFeatures
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.world import World

FORK, LAST = ImageFeatures(1), ImageFeatures(DEPTH - 1)
KINDS = (FINAL, FORK, LAST)


def views_of(rows: Iterable[int], views: Iterable[int] = (0,)) -> Views:
    """Pair every row with every view."""
    rows, views = np.array(list(rows), np.int64), np.array(list(views), np.int64)
    return np.repeat(rows, len(views)), np.tile(views, len(rows))


GROUPS = [views_of([7, 3, 11]), views_of([5, 4]), views_of(range(20, 27))]


@dataclass
class Noise:
    """Pixels that follow from (row, view); remembers the chunks that were asked for."""

    chunks: list[list[int]] = field(default_factory=list)
    broken: int | None = None  # row that cannot be read
    made_by: str = "noise 1"

    def batch(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        if self.broken in rows:
            raise OSError("cannot read the image")
        seeds = [1000 * int(row) + int(view) for row, view in zip(rows, views, strict=True)]
        noise = [np.random.default_rng(seed).standard_normal((3, SIDE, SIDE)) for seed in seeds]
        return torch.from_numpy(np.stack(noise)).float()

    def stream(self, chunks: Iterable[Views]) -> Iterator[Tensor]:
        for rows, views in chunks:
            self.chunks.append(rows.tolist())
            yield self.batch(rows, views)


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def built(
    pixels: Noise,
    cfg: ClipConfig,
    groups: list[Views] = GROUPS,
    kinds: tuple[ImageFeatures, ...] = KINDS,
    clip: FrozenCLIP | None = None,
    world: World | None = None,
    identity: str = "images",
) -> FeatureCache:
    clip, world = clip or random_clip(torch.float32), world or World.alone()
    return build(clip, kinds, groups, pixels, world, cfg, identity, silent)
