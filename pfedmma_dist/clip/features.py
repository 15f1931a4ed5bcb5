"""Features: where frozen image features are read, and pixels to make them of."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from pfedmma_dist.clip.kinds import Kinds, Read
from pfedmma_dist.clip.recipe import Views


class Pixels(Protocol):
    """Where normalised pixels come from; `data.pixels.PixelLoader` is one."""

    @property
    def made_by(self) -> str:
        """Return the versions of all that can change a pixel."""
        ...

    def batch(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """Return [n, 3, H, H]."""
        ...

    def stream(self, chunks: Iterable[Views]) -> Iterator[Tensor]:
        """Yield the batch of each chunk, decoding ahead."""
        ...


class Features(Protocol):
    """Frozen features by image and view."""

    def rows(self, kinds: Kinds, views: Views) -> Read:
        """Return [n, *record_shape], of several kinds a tuple, on the device of the CLIP."""
        ...

    def stream(self, kinds: Kinds, steps: Sequence[Views]) -> Iterator[Read]:
        """Yield the rows of one step after another, each when it is asked for."""
        for views in steps:
            yield self.rows(kinds, views)
