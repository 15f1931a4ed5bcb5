"""Tally: what a round counts and adds up beside the shared part, and what it did over all ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
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

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RoundStats":
        """Return what `asdict` has written; ValueError for anything else."""
        kinds = {item.name: item.type for item in fields(cls)}
        if {key: type(value) for key, value in values.items()} != kinds:
            raise ValueError(f"{dict(values)!r} is no record of a round")
        return cls(**values)


class Tally:
    """The sums of one round on one rank. They travel behind the shared part, as its riders."""

    def __init__(
        self,
        sizes: np.ndarray,
        seen: np.ndarray,
        chosen: np.ndarray,
        corrections: Corrections,
    ) -> None:
        """sizes: training images of every client [K]. seen: clients that train at all. chosen:
        clients of the round."""
        self.of_round = sizes / sizes[chosen].sum()  # [K] float64, a client's share of the round
        self.of_all = sizes / sizes[seen].sum()
        evenly = any(each.even for each in corrections)
        self.of_mean = np.full(len(sizes), 1 / len(chosen)) if evenly else self.of_round
        self.loss, self.num_samples = torch.zeros((), dtype=torch.int64), 0
        self.sent = torch.zeros(corrections.num_sent, dtype=torch.int64)

    def add(self, clients: np.ndarray, result: LocalResult) -> None:
        """Take in what a cohort's training has left."""
        weight, share = (torch.from_numpy(x[clients]) for x in (self.of_round, self.of_all))
        self.loss += to_fixed(result.loss.cpu().double() * weight).sum()
        self.sent += to_fixed(result.sent.cpu().double() * share[:, None]).sum(dim=0)
        self.num_samples += result.num_samples

    def riders(self, stop: bool) -> Tensor:
        """Return the sums [3 + Q] int64; stop: whether this rank was asked to."""
        return torch.cat([torch.tensor([int(self.loss), self.num_samples, int(stop)]), self.sent])

    @staticmethod
    def read(riders: Tensor) -> tuple[float, int, bool, Tensor]:
        """Return the mean loss, image passes, whether to stop, and what was sent [Q] float64."""
        _, num_samples, stop = riders[:3].tolist()
        return float(from_fixed(riders[0])), num_samples, bool(stop), from_fixed(riders[3:])
