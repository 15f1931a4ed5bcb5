"""Wave: a rate that goes on from each client to the one that is visited next (released.wave).

A scheduler made for one training of E epochs is stepped by every client in turn, and torch's cosine
of period E climbs again after it has come down: at place p of all epochs so far, warm-up left out,

    lr (1 + cos(pi p / E)) / 2

which at E = 1 is lr, 0, lr, 0, ...
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.schedule import rate

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


class Wave:
    """The rates of one round, as `Rates` has them."""

    def __init__(
        self, cfg: OptimConfig, visits: np.ndarray, epochs: int, per_epoch: np.ndarray
    ) -> None:
        """visits: [G] of all clients and rounds before each client's. per_epoch: steps [G]."""
        self.cfg, self.visits, self.epochs, self.per_epoch = cfg, visits, epochs, per_epoch

    def at(self, step: int) -> np.ndarray:
        """Return the rates [G] of a step of this round."""
        places = self.visits * self.epochs + np.minimum(step // self.per_epoch, self.epochs - 1)
        return np.array([self._rate(int(place)) for place in places])

    def _rate(self, place: int) -> float:
        if place < self.cfg.warmup:
            return rate(self.cfg, place, self.epochs)
        turn = math.pi * (place - self.cfg.warmup) / self.epochs
        return self.cfg.lr * 0.5 * (1 + math.cos(turn))


def wave_of(
    federation: "Federation", clients: np.ndarray, per_epoch: np.ndarray, round_index: int
) -> Wave | None:
    """Return the rates of clients [G] in a round; None where each begins the schedule anew, as it
    does in epochs that are of no round."""
    cfg = federation.cfg
    if not cfg.released.wave or round_index >= cfg.federation.rounds:
        return None
    before = sum(len(federation.visited(index)) for index in range(round_index))
    order = federation.visited(round_index).tolist()
    visits = np.array([before + order.index(client) for client in clients.tolist()])
    return Wave(cfg.optim, visits, cfg.federation.local_epochs, per_epoch)
