"""A rule of the server of your own: `python -m pfedmma_dist.train plugins=[examples/own_rule.py]
server.rule=fedams server.lr=0.01`, or a row of a sweep, examples/own_sweep.yaml.

FedAMS (Wang, Lin and Chen, Communication-Efficient Adaptive Federated Learning, ICML 2022) steps by
the largest running square that there has been, so that rare large moves are not forgotten; with x
what clients started from and Delta = mean - x:

    m = beta1 m + (1 - beta1) Delta      v = beta2 v + (1 - beta2) Delta^2
    w = max(w, v, eps)                   x + lr m / sqrt w
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pfedmma_dist.exchange.rules import Memory, Rule, register


@dataclass(kw_only=True)
class FedAMSOptions:
    """Options of FedAMS."""

    beta1: float = 0.9
    """What is kept of the running mean."""
    beta2: float = 0.99
    """What is kept of the running square."""
    eps: float = 1e-6
    """Least square that is stepped by; our choice, the square of server.tau."""

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"server.options.{name}: {getattr(self, name)}; set 0 or more, below 1"
                )
        if self.eps <= 0:
            raise ValueError(f"server.options.eps: {self.eps}; set more than 0, such as 1e-6")


@register
class FedAMS(Rule):
    """FedAMS: a step of the running mean over the root of the largest running square so far."""

    name = "fedams"
    Options: ClassVar[type] = FedAMSOptions

    def memory(self, size: int) -> Memory:
        """Return zeros for m, v and w."""
        return {name: torch.zeros(size, dtype=torch.float64) for name in ("m", "v", "w")}

    def direction(self, start: Tensor, delta: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Return m / sqrt w, and the three."""
        own = self.options
        m = own.beta1 * memory["m"] + (1 - own.beta1) * delta
        v = own.beta2 * memory["v"] + (1 - own.beta2) * delta.square()
        w = torch.maximum(memory["w"], v).clamp(min=own.eps)
        return m / w.sqrt(), {"m": m, "v": v, "w": w}
