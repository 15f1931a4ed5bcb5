"""Sums: whole numbers that every client sends once, added up over all rounds to the bit."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost, Download
from pfedmma_dist.exchange.average import demand
from pfedmma_dist.world import LIMIT, World


class Sums:
    """A server that adds up what clients have counted, and hands out what follows from the sum.

    int64 sums have the same bits whatever the cohorts, ranks and rounds, and however the images are
    dealt to clients. A client sends in the first round that it takes part in; in a later one it
    adds zeros, where a real client would send nothing.
    """

    uniform = True
    staged = False
    dropped: tuple[int, ...] = ()

    def __init__(self, template: Tensor, num_sums: int, read: Callable[[Tensor], Tensor]) -> None:
        """template: shared part [S] float32 before anything is sent. num_sums: Q. read: sums [Q]
        int64 -> shared part [S]."""
        self.shared, self.read = template.clone(), read
        self.closed, self.open = (torch.zeros(num_sums, dtype=torch.int64) for _ in range(2))

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return what follows from the sums so far, for each of the clients."""
        return Download(self.shared.expand(len(clients), -1))

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Add what clients have counted [G, Q] int64; a count weighs what it counts."""
        assert shared.dtype == torch.int64
        self.open += shared.sum(dim=0)

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """All-reduce the round's sums [Q], and the riders behind them, in one buffer."""
        total = world.exact_sum(torch.cat([self.open, riders]))
        self.closed = self.closed + total[: len(self.open)]
        self.open.zero_()
        self.shared = self.read(self.closed).float()
        assert bool((self.shared.abs() < LIMIT).all())
        return total[len(self.open) :]

    def state(self) -> dict[str, Tensor]:
        """Return the sums, and what is handed out."""
        return {"shared": self.shared, "sums": self.closed}

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        own = self.state()
        demand(state, {name: (tensor.dtype, tensor.shape) for name, tensor in own.items()})
        self.shared, self.closed = state["shared"].clone(), state["sums"].clone()

    def cost(self) -> Cost:
        """The sums go up once from each client; what follows from them comes down every round."""
        return Cost(up=len(self.closed), down=len(self.shared), once=True)

    def cost_among(self, clients: np.ndarray) -> Cost:
        """Return the mean traffic of clients [n], which send and receive as much as any."""
        return self.cost()
