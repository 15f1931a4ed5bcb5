"""Buffered: a server that goes on from whatever uploads are there, old ones counting less.

With x what is handed out after r updates, and of every upload w_i the shared part x_i that it
started from, s_i updates ago, and c_i = (1 + s_i)^-a:

    FedBuff (Nguyen et al., AISTATS 2022)    Delta = mean_i c_i (w_i - x_i)      x + lr Delta
    FedAsync (Xie et al., 2019)              Delta = mixing c_i (w_i - x)        x + lr Delta

The mean is over the uploads of an update, each counted once whatever its images, as in the paper;
`server.name` may do otherwise with Delta than to add it. Who started when and arrives when is known
in advance (`clock.events`); a client is trained in the round in which it finishes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clock.laps import Lap
from pfedmma_dist.exchange import Download
from pfedmma_dist.exchange.average import Average, demand
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import World, to_fixed


@dataclass(frozen=True)
class Mixing:
    """How much an upload counts."""

    exponent: float  # a
    mixing: float | None  # None: FedBuff

    def weights(self, staleness: np.ndarray) -> np.ndarray:
        """Return what uploads count for [n] that have missed so many updates [n]."""
        each = 1 / len(staleness) if self.mixing is None else self.mixing
        return each * (1.0 + staleness) ** -self.exponent


class Buffered(Average):
    """A server that keeps each shared part from which somebody still trains: at S = 3,072 12 KiB
    each, one for every client under way at most."""

    staged = False

    def __init__(
        self, template: Tensor, server: Server, lap: Callable[[int], Lap], mixing: Mixing
    ) -> None:
        """template: shared part [S] float32. lap: of a round."""
        super().__init__(template, server)
        self.lap, self.mixing = lap, mixing
        self.version = 0  # updates so far, those without an upload included
        self.older: dict[int, Tensor] = {}

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return the newest shared part for scoring; for training in the open round what each of
        the clients was handed when it started."""
        if not training:
            return super().download(clients, training=False)
        return Download(self._begun(clients)[0])

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Add how far the rows have come, by how old they are; `weight` is the waiting server's."""
        start, begun = self._begun(clients)
        lap = self.lap(self.version)
        of_all = self.mixing.weights(self.version - lap.begun[lap.arrived])
        places = np.searchsorted(lap.clients[lap.arrived], clients)
        base = start if self.mixing.mixing is None else self.shared.expand_as(start)
        moved = shared.detach().to("cpu", torch.float64) - base.double()
        self.total += to_fixed(moved * torch.from_numpy(of_all[places])[:, None]).sum(dim=0)

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """All-reduce the [S] sums, and the riders behind them, in one buffer."""
        before, lap = self.shared, self.lap(self.version)
        if len(participants):
            delta, riders = self.add_up(world, riders)
            self.shared = self.server.step(before, before.double() + delta).float()
        else:
            riders = world.exact_sum(riders)
        known = {**self.older, self.version: before}
        self.version += 1
        self.older = {number: known[number] for number in lap.flying}
        return riders

    def state(self) -> dict[str, Tensor]:
        """Return the server's numbers, and the shared parts [V, S] that are still trained from."""
        rows = [self.shared[None][:0], *(row[None] for row in self.older.values())]
        return {
            **super().state(),
            "version": torch.tensor([self.version]),
            "older": torch.tensor([*self.older], dtype=torch.int64),
            "older_rows": torch.cat(rows),
        }

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        count = len(state.get("older", ()))
        own = {
            "version": (torch.int64, (1,)),
            "older": (torch.int64, (count,)),
            "older_rows": (torch.float32, (count, len(self.shared))),
        }
        demand({name: state[name] for name in own if name in state}, own)
        version, numbers = int(state["version"]), state["older"].tolist()
        flying = self.lap(version - 1).flying if version > 0 else ()
        if version < 0 or numbers != list(flying):
            raise ValueError(
                f"the server's shared parts are of rounds {numbers}, not of {list(flying)}"
            )
        super().load({name: x for name, x in state.items() if name not in own}, trained)
        self.version = version
        self.older = {n: row.clone() for n, row in zip(numbers, state["older_rows"], strict=True)}

    def _begun(self, clients: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Return the shared parts [G, S] that clients of the open round started from, and of which
        rounds these are [G]."""
        lap = self.lap(self.version)
        begun = lap.begun[np.searchsorted(lap.clients, clients)]
        known = {**self.older, self.version: self.shared}
        return torch.stack([known[number] for number in begun.tolist()]), begun
