"""Dropout: what a step of training does without, drawn by client and step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pfedmma_dist.clip.carry import sent
from pfedmma_dist.rng import Key


@dataclass(frozen=True)
class Dropout:
    """Which inputs of the terms a step of a cohort does without (torch.nn.Dropout)."""

    rate: float
    keys: Sequence[Key]  # one per client

    def of(self, place: str) -> Callable[[Tensor], Tensor]:
        """Return what maps the inputs [G, n, in] of one term to what is left of them.

        Draws are of the tokens that are run: the plain form runs others.
        """

        def drop(rows: Tensor) -> Tensor:
            shape = tuple(rows.shape[1:])
            draws = (key.generator(f"dropout {place}") for key in self.keys)
            kept = np.stack([draw.random(shape, np.float32) >= self.rate for draw in draws])
            return rows * sent(kept, rows.device).to(rows) / (1 - self.rate)

        return drop
