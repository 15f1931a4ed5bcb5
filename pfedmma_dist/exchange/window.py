"""Window: what the rounds of a run have handed out, averaged for scoring (PromptSRC).

Gaussian weighted prompt aggregation (Khattak et al., ICCV 2023), with rounds in place of epochs:
round r = 1 .. R weighs

    w_r = exp(-(r - centre R)^2 / (2 (deviation R)^2))      mean_r = sum_i<=r w_i x_i / sum_i<=r w_i

with x_r what clients start from after it. As published, of 20 epochs those around the 15th count,
0.05, 0.24, 0.40, 0.24 and 0.05. Training never sees the mean.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Download
from pfedmma_dist.exchange.average import Average, demand
from pfedmma_dist.exchange.gathered import Gathered
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import World


@dataclass(frozen=True)
class Bell:
    """Which rounds count in the mean, and how much."""

    num_rounds: int  # R, of the whole run
    centre: float  # shares of R
    deviation: float

    def share(self, count: int) -> float:
        """Return what the newest of so many rounds weighs beside those before it.

        The far end of a bell has no number: of the logarithms, the largest is taken out.
        """
        rounds = np.arange(1, count + 1)
        logs = -0.5 * ((rounds / self.num_rounds - self.centre) / self.deviation) ** 2
        weights = np.exp(logs - logs.max())
        return float(weights[-1] / weights.sum())


class Windowed(Average):
    """Weighted mean of the participants' shared rows (FedAvg), and its own mean over the rounds,
    handed out for scoring alone: S numbers that come down once, when all is trained, and are not
    counted as traffic of a round.

    What a round leaves is looked at when the next one closes, or when scores ask for it: until then
    a correction may still change it. A round of nobody counts what was there.
    """

    def __init__(self, template: Tensor, bell: Bell, server: Server | None = None) -> None:
        """template, server: see `Average`."""
        super().__init__(template, server)
        self.bell = bell
        self.rounds = 0
        self.before = torch.zeros(template.numel(), dtype=torch.float64)  # of all but the newest

    @property
    def mean(self) -> Tensor:
        """The mean over all rounds so far [S] float64."""
        moved = self.shared.double() - self.before
        return self.before + self.bell.share(self.rounds) * moved

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return what the newest round left, or for scoring the mean over the rounds so far."""
        if training or not self.rounds:
            return super().download(clients, training=training)
        return Download(self.mean.float().expand(len(clients), -1))

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """Take what the round before has left into the mean, and close this one."""
        if self.rounds:
            self.before = self.mean
        riders = super().sync(world, riders, participants)
        self.rounds += 1
        return riders

    def state(self) -> dict[str, Tensor]:
        """Return the shared part, and the mean with how many rounds it is of."""
        return {**super().state(), **self._own()}

    def _own(self) -> dict[str, Tensor]:
        return {"window": self.before, "window_rounds": torch.tensor(self.rounds)}

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        demand(state, {name: (x.dtype, x.shape) for name, x in self.state().items()})
        super().load({name: x for name, x in state.items() if name not in self._own()}, trained)
        self.before, self.rounds = state["window"].clone(), int(state["window_rounds"])


class WindowedOpen(Windowed, Gathered):
    """The same at a server that sees each upload, as its rule asks."""
