"""The recipe of pretraining in numbers, and what follows from them at each step."""

import math
from dataclasses import dataclass

from pfedmma_dist.data.glyphs.glyphs import DOMAINS


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights, besides versions and processor."""

    images: int = 800_000
    seed: int = 0
    batch: int = 64
    lr: float = 1e-3
    warmup_steps: int = 150
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05
    """Of matrices; vectors and the logit scale have none."""
    clip_norm: float = 1.0
    largest_scale: float = 100.0
    difficulty: float = 0.5
    ramp: float = 0.4
    """Share of the steps over which the difficulty rises from 0."""
    domain_shares: tuple[float, ...] = (0.22, 0.18, 0.14, 0.12, 0.18, 0.16)
    """Of DOMAINS, in their order."""

    def __post_init__(self) -> None:
        assert len(self.domain_shares) == len(DOMAINS)

    @property
    def steps(self) -> int:
        """Number of batches."""
        return self.images // self.batch

    def lr_at(self, step: int) -> float:
        """Return the learning rate: a linear rise, then half a cosine to 0."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        part = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.lr * 0.5 * (1 + math.cos(math.pi * part))

    def difficulty_at(self, step: int) -> float:
        """Return how hard the images of a step are."""
        return self.difficulty * min(1.0, step / (self.ramp * self.steps))
