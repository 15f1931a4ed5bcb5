"""Schedule: the learning rate of a local step, as a function of where in the run it stands."""

import math

import numpy as np

from pfedmma_dist.config.choices import Schedule, Unit
from pfedmma_dist.config.keys import FederationConfig
from pfedmma_dist.config.learning import OptimConfig


class Rates:
    """The rates of one round. Each is a float64 number per client; a step that a client no longer
    takes has one, too, which is used for nothing."""

    def __init__(
        self, cfg: OptimConfig, plan: FederationConfig, round_index: int, num_steps: np.ndarray
    ) -> None:
        """plan: how many rounds and local epochs. num_steps: [G] that each client takes in the
        round."""
        self.cfg = cfg
        self._changes = cfg.unit is not Unit.rounds and (
            cfg.schedule is not Schedule.constant or cfg.warmup > 0
        )
        self._fixed = np.full(len(num_steps), rate(cfg, round_index, plan.rounds))
        by_step = cfg.unit is Unit.steps
        self._steps = np.ones_like(num_steps) if by_step else num_steps // plan.local_epochs
        self._lengths = num_steps if by_step else np.full_like(num_steps, plan.local_epochs)

    def at(self, step: int) -> np.ndarray:
        """Return the rates [G] of a step of this round."""
        if not self._changes:
            return self._fixed
        places = zip(step // self._steps, self._lengths, strict=True)
        return np.array([rate(self.cfg, int(place), int(length)) for place, length in places])


def rate(cfg: OptimConfig, place: int, length: int) -> float:
    """Return the rate at `place` of `length` rounds, epochs or steps.

    The first `warmup` places warm up; the schedule counts from there on, and its cosine is as long
    as all places are (Dassl's ConstantWarmupScheduler and LinearWarmupScheduler before torch's
    CosineAnnealingLR, StepLR).
    """
    if place < cfg.warmup:
        return cfg.lr * (place + 1) / (cfg.warmup + 1) if cfg.warmup_lr is None else cfg.warmup_lr
    since = place - cfg.warmup
    if cfg.schedule is Schedule.cosine:
        return cfg.lr * 0.5 * (1 + math.cos(math.pi * min(since / length, 1.0)))
    if cfg.schedule is Schedule.step:
        return cfg.lr * cfg.gamma ** (since // cfg.step_size)
    return cfg.lr
