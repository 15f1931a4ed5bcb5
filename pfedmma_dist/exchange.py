"""What crosses the network at a round boundary, and what it costs a client."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.world import World, from_fixed, to_fixed

BYTES = 4
"""Of one number on the network: float32."""


@dataclass(frozen=True)
class Cost:
    """Numbers that a real client sends and receives in a round it takes part in."""

    up: int
    down: int


@dataclass(frozen=True)
class Download:
    """What clients receive before they train or are scored."""

    shared: Tensor  # [G, S] float32
    extra: Tensor | None = None  # further numbers, for `Method.prepare`


class Exchange(Protocol):
    """The server as clients see it. `sync` is the only collective of a round."""

    uniform: bool
    """Whether every client is handed the same numbers for scoring."""

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return what the clients [G] start from; an exchange may hand out less for scoring."""
        ...

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Take shared rows [G, S] with weights [G] float64 that add up to 1 over the round."""
        ...

    def sync(self, world: World, riders: Tensor) -> Tensor:
        """Close the round over all ranks; return the sum of int64 `riders`, which travel along."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return the server's tensors for a checkpoint."""
        ...

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned."""
        ...

    def cost(self) -> Cost:
        """Return the traffic of one client and round."""
        ...


class Average:
    """Weighted mean of the participants' shared rows (FedAvg, McMahan et al. 2017)."""

    uniform = True

    def __init__(self, template: Tensor) -> None:
        """template: shared part [S] float32 that every client starts from."""
        self.shared = template.clone()
        self.total = torch.zeros(template.numel(), dtype=torch.int64)

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return the current mean for each of the clients."""
        return Download(self.shared.expand(len(clients), -1))

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Add weighted rows in fixed point, exactly, so in any order."""
        rows = shared.detach().to("cpu", torch.float64)
        self.total += to_fixed(rows * weight[:, None]).sum(dim=0)

    def sync(self, world: World, riders: Tensor) -> Tensor:
        """All-reduce the [S] sums, and the riders behind them, in one buffer."""
        total = world.exact_sum(torch.cat([self.total, riders]))
        num_shared = self.total.numel()
        self.shared = from_fixed(total[:num_shared]).float()
        self.total.zero_()
        return total[num_shared:]

    def state(self) -> dict[str, Tensor]:
        """Return the shared part."""
        return {"shared": self.shared}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back the shared part."""
        self.shared = state["shared"].clone()

    def cost(self) -> Cost:
        """Every shared number goes up once and comes down once."""
        return Cost(up=self.shared.numel(), down=self.shared.numel())
