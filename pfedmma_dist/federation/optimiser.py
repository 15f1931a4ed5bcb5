"""Optimiser: the rule of one local step, on the rows [G, N] of a cohort's clients.

A rule joins no two clients and works number by number, so the bits of a client do not depend on
its cohort. Its state is zeros before the first step.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pfedmma_dist.config.choices import Optimiser
from pfedmma_dist.config.learning import OptimConfig


class Rule(Protocol):
    """How a gradient and a state become a step."""

    @property
    def l2(self) -> float:
        """Return the weight decay that belongs into the gradient, before the step."""
        ...

    @property
    def tables(self) -> int:
        """Return how many tables [G, N] make up the state [G, tables N]."""
        ...

    def step(self, theta: Tensor, grad: Tensor, state: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Return new (theta [G, N], state [G, tables N]); lr: [N] or [G, N]."""
        ...


@dataclass(frozen=True)
class Sgd:
    """Momentum v = momentum v + g; theta - lr v (torch.optim.SGD)."""

    momentum: float
    nesterov: bool
    l2: float
    tables = 1

    def step(self, theta: Tensor, grad: Tensor, state: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Move by the momentum, or by what it will be one step on (Nesterov)."""
        state = self.momentum * state + grad
        move = grad + self.momentum * state if self.nesterov else state
        return theta - lr * move, state


@dataclass(frozen=True)
class Adam:
    """Bias-corrected means m, v of gradient and square; theta - lr m / (sqrt v + eps)
    (torch.optim.Adam, and AdamW where decay is apart)."""

    beta1: float
    beta2: float
    eps: float
    l2: float
    decay: float  # apart from the gradient
    tables = 3  # both means, and how many steps they are of: a number may rest for some rounds

    def step(self, theta: Tensor, grad: Tensor, state: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Move by the mean gradient over the root of the mean square."""
        mean, square, count = state.chunk(self.tables, dim=1)
        if self.decay:
            theta = theta * (1 - lr * self.decay)
        mean = mean.lerp(grad, 1 - self.beta1)
        square = self.beta2 * square + (1 - self.beta2) * grad * grad
        count = count + 1
        taken = count.double()
        upper, lower = (1 - beta**taken for beta in (self.beta1, self.beta2))
        root = square.sqrt() / lower.sqrt().to(square.dtype) + self.eps
        theta = theta - lr / upper.to(theta.dtype) * (mean / root)
        return theta, torch.cat([mean, square, count], dim=1)


def rule_of(cfg: OptimConfig) -> Rule:
    """Return the configured rule."""
    if cfg.name is Optimiser.sgd:
        return Sgd(cfg.momentum, cfg.nesterov, cfg.weight_decay)
    apart = cfg.name is Optimiser.adamw
    l2, decay = (0.0, cfg.weight_decay) if apart else (cfg.weight_decay, 0.0)
    return Adam(cfg.beta1, cfg.beta2, cfg.eps, l2, decay)
