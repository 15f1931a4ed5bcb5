"""Uplink: what becomes of a client's trained shared row on its way to the server and into the mean.

Stages stand one behind the other between local training and the collective: an attack, clipping,
noise, rounding to few bits. `send` runs where the client does and joins no two clients; `close`
runs at the server, on the exact mean, so every rank computes the same. Without stages every bit is
as it would be without this file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost
from pfedmma_dist.exchange.average import demand
from pfedmma_dist.exchange.secure import Masking


@dataclass(frozen=True)
class Parcel:
    """What the clients [G] of a cohort hand on in a round, on the host."""

    clients: np.ndarray  # [G]
    round_index: int
    start: Tensor  # [G, S] float32, what they were handed before they trained
    rows: Tensor  # [G, S] float32, what they send
    weight: Tensor  # [G] float64, of each in the mean
    memory: (
        Tensor  # [G, M] float32, what they keep of the stage from one of their rounds to the next
    )
    loss: Tensor  # [G] float32, mean loss of their training


class Stage:
    """The defaults of a stage: it hands on what comes, keeps nothing and counts nothing."""

    num_memory = 0
    """Numbers M that each client keeps."""
    num_counts = 0
    """Whole numbers Q that are summed over the round's clients, beside the shared part."""
    always = False
    """Whether a round that nobody takes part in is closed all the same, with a mean of zeros."""
    sums_alone = False
    """Whether no upload may be seen beside the others' sum."""

    def begin(self, sizes: np.ndarray, num_clients: int) -> None:
        """Learn the training images of every client [K], and how many of them ever train."""

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        """Return what goes on, memory and weight too, and counts [Q] int64 of these clients."""
        return parcel, torch.zeros(self.num_counts, dtype=torch.int64)

    def close(self, mean: Tensor, counts: Tensor, before: Tensor, round_index: int) -> Tensor:
        """Return what the server takes for the mean of the round [S] float64, and remember.

        mean: sum of weight times row, over all clients [S] float64. counts: [Q] int64, summed.
        before: what clients started from [S] float64.
        """
        return mean

    def cost(self, cost: Cost) -> Cost:
        """Return the traffic of a client and round; cost: as it is before this stage."""
        return cost

    def state(self) -> dict[str, Tensor]:
        """Return the server's numbers."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned; ValueError where it cannot have."""
        demand(state, {name: (x.dtype, x.shape) for name, x in self.state().items()})


class Uplink:
    """The stages of one federation, in the order in which a row goes through them."""

    def __init__(self, stages: tuple[Stage, ...] = (), masking: Masking | None = None) -> None:
        """masking: under which rows leave their clients, behind the last stage."""
        self.stages, self.masking = stages, masking
        self.round_index = 0  # the open round
        self.counts = torch.zeros(self.num_counts, dtype=torch.int64)  # of it, on this rank

    @property
    def num_memory(self) -> int:
        """Numbers that each client keeps."""
        return sum(each.num_memory for each in self.stages)

    @property
    def num_counts(self) -> int:
        """Whole numbers that travel behind the riders of a round."""
        return sum(each.num_counts for each in self.stages)

    @property
    def always(self) -> bool:
        """Whether a round of nobody is closed, too."""
        return any(each.always for each in self.stages)

    def begin(self, sizes: np.ndarray, num_clients: int) -> None:
        """Tell all stages of the clients."""
        for each in self.stages:
            each.begin(sizes, num_clients)

    def foresee(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Refuse rounds that cannot be closed; sizes: how many clients each has, and how many of
        them get through, which is known in advance."""
        if self.masking is not None:
            for index, (num_clients, num_arrived) in enumerate(sizes):
                self.masking.check(index, num_clients, num_arrived)

    def open(self, round_index: int, clients: np.ndarray, arrived: np.ndarray) -> None:
        """Begin a round of clients [n], of which these get through [m], over all ranks."""
        self.round_index, self.counts = round_index, torch.zeros_like(self.counts)
        if self.masking is not None:
            self.masking.open(round_index, clients, arrived)

    def send(self, parcel: Parcel) -> Parcel:
        """Return what reaches the exchange, and what the clients keep; there is a stage."""
        found, kept = [], []
        own = parcel.memory.split([each.num_memory for each in self.stages], dim=1)
        for each, memory in zip(self.stages, own, strict=True):
            parcel, counts = each.send(replace(parcel, memory=memory))
            kept.append(parcel.memory)
            found.append(counts)
        self.counts += torch.cat(found)
        return replace(parcel, memory=torch.cat(kept, dim=1))

    def close(self, mean: Tensor, riders: Tensor, before: Tensor) -> Tensor:
        """Return what the server takes for the mean of the round [S] float64.

        riders: int64, summed over all ranks, this uplink's counts last. before: what clients
        started from [S].
        """
        counts = riders[len(riders) - self.num_counts :]
        own = counts.split([each.num_counts for each in self.stages])
        for each, mine in zip(self.stages, own, strict=True):
            mean = each.close(mean, mine, before.double(), self.round_index)
        return mean

    def cost(self, cost: Cost, num_clients: int) -> Cost:
        """Return the traffic of a client in a round of so many; cost: the exchange's own."""
        for each in self.stages:
            cost = each.cost(cost)
        return cost if self.masking is None else self.masking.cost(cost, num_clients)

    def state(self) -> dict[str, Tensor]:
        """Return the server's numbers."""
        return {name: numbers for each in self.stages for name, numbers in each.state().items()}

    def load(self, server: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take these back, and return what of the server's is not theirs."""
        own = self.state()
        for each in self.stages:
            each.load({name: server[name] for name in each.state().keys() & server.keys()})
        return {name: x for name, x in server.items() if name not in own}
