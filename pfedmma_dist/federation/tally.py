"""Tally: what a round counts and adds up beside the shared part, and what it did over all ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.corrections.together import Corrections
from pfedmma_dist.federation.trainer import LocalResult
from pfedmma_dist.world import from_fixed, to_fixed


@dataclass(frozen=True)
class RoundStats:
    """What one round did, over all ranks."""

    loss: float  # mean training loss, weighted by the clients' sample counts
    num_participants: int
    num_samples: int  # image passes
    rank_bytes: int  # payload that each rank handed to the collective
    seconds: float
    stop: bool  # some rank was asked to stop
    dropped: list = field(default_factory=list)  # clients whose uploads the server left out

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RoundStats":
        """Return what `asdict` has written; ValueError for anything else."""
        kinds, values = {item.name: item.type for item in fields(cls)}, {"dropped": [], **values}
        if {key: type(value) for key, value in values.items()} != kinds:
            raise ValueError(f"{dict(values)!r} is no record of a round")
        return cls(**values)


class Tally:
    """The sums of one round on one rank. They travel behind the shared part, as its riders."""

    def __init__(
        self,
        sizes: np.ndarray,
        num_seen: int,
        chosen: np.ndarray,
        corrections: Corrections,
    ) -> None:
        """sizes: training images of every client [K]. num_seen: those of all that train at
        all. chosen: clients of the round."""
        self.sizes, self.num_chosen = sizes, len(chosen)
        self.of_round, self.of_all = int(sizes[chosen].sum()), num_seen
        self.evenly = any(each.even for each in corrections)
        self.loss, self.num_samples = torch.zeros((), dtype=torch.int64), 0
        self.sent = torch.zeros(corrections.num_sent, dtype=torch.int64)

    def of_mean(self, clients: np.ndarray) -> Tensor:
        """Return the share [G] float64 that these clients have in the mean of the round."""
        if self.evenly:
            return torch.full((len(clients),), 1 / self.num_chosen, dtype=torch.float64)
        return torch.from_numpy(self.sizes[clients] / self.of_round)

    def add(self, clients: np.ndarray, result: LocalResult) -> None:
        """Take in what a cohort's training has left."""
        sizes = self.sizes[clients]
        weight, share = (torch.from_numpy(sizes / total) for total in (self.of_round, self.of_all))
        self.loss += to_fixed(result.loss.cpu().double() * weight).sum()
        self.sent += to_fixed(result.sent.cpu().double() * share[:, None]).sum(dim=0)
        self.num_samples += result.num_samples

    def riders(self, stop: bool, counts: Tensor) -> Tensor:
        """Return the sums [3 + Q + R] int64; stop: whether this rank was asked to. counts: of the
        uplink [R]."""
        own = torch.tensor([int(self.loss), self.num_samples, int(stop)])
        return torch.cat([own, self.sent, counts])

    def read(self, riders: Tensor) -> tuple[float, int, bool, Tensor]:
        """Return the mean loss, image passes, whether to stop, and what was sent [Q] float64."""
        _, num_samples, stop = riders[:3].tolist()
        sent = from_fixed(riders[3 : 3 + len(self.sent)])
        return float(from_fixed(riders[0])), num_samples, bool(stop), sent
