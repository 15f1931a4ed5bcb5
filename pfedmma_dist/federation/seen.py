"""Seen: what the steps of a round have shown so far."""

import torch
from torch import Tensor

from pfedmma_dist.federation.laid import Laid


class Seen:
    """Mean loss of each client, and how many images."""

    def __init__(self, theta: Tensor) -> None:
        self.total, self.steps = (torch.zeros(len(theta), device=theta.device) for _ in range(2))
        self.num_samples = 0  # image passes, padding not counted

    def add(self, loss: Tensor, step: Laid, passes: int = 1) -> None:
        """Count one more step, where a client takes it; passes: of every image."""
        self.total += torch.where(step.active, loss, 0.0)
        self.steps += step.active
        self.num_samples += passes * step.num_images

    @property
    def loss(self) -> Tensor:
        """Return the mean [G] over a client's steps."""
        return self.total / self.steps.clamp(min=1)
