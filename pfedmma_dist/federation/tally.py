"""Tally: what a round counts and adds up beside the shared part, and what it did over all ranks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.config.choices import CorrectionName, Privacy
from pfedmma_dist.config.keys import Config
from pfedmma_dist.federation.corrections.together import Corrections
from pfedmma_dist.federation.trainer import LocalResult
from pfedmma_dist.world import LIMIT, from_fixed, to_fixed


@dataclass(frozen=True)
class RoundStats:
    """What one round did, over all ranks."""

    loss: float  # mean training loss, weighted by the clients' sample counts; nan: not known
    num_participants: int
    num_samples: int  # image passes
    rank_bytes: int  # payload that each rank handed to the collective
    seconds: float
    stop: bool  # some rank was asked to stop
    dropped: list = field(default_factory=list)  # clients whose uploads the server left out

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> "RoundStats | None":
        """Return what `asdict` has written, None for none; ValueError for anything else."""
        if values is None:
            return None
        values = {"dropped": [], **values}
        if values.get("loss", 0.0) is None:  # which JSON has for nan
            values["loss"] = math.nan
        kinds = {item.name: item.type for item in fields(cls)}
        if {key: type(value) for key, value in values.items()} != kinds:
            raise ValueError(f"{values!r} is no record of a round")
        return cls(**values)


class Tally:
    """The sums of one round on one rank. They travel behind the shared part, as its riders."""

    def __init__(
        self,
        sizes: np.ndarray,
        num_seen: int,
        chosen: np.ndarray,
        corrections: Corrections,
        *,
        told: bool = True,
        only: int | None = None,
    ) -> None:
        """sizes: training images of every client [K]. num_seen: those of all that train at
        all. chosen: clients of the round. told: loss and image passes leave the clients.
        only: the client that is the mean of the round by itself."""
        self.told, self.only = told, only
        self.sizes, self.num_chosen = sizes, len(chosen)
        self.of_round, self.of_all = int(sizes[chosen].sum()), num_seen
        self.evenly = any(each.even for each in corrections)
        self.loss, self.num_samples = torch.zeros((), dtype=torch.int64), 0
        self.sent = torch.zeros(corrections.num_sent, dtype=torch.int64)

    def of_mean(self, clients: np.ndarray) -> Tensor:
        """Return the share [G] float64 that these clients have in the mean of the round."""
        if self.only is not None:
            return torch.from_numpy((clients == self.only).astype(np.float64))
        if self.evenly:
            return torch.full((len(clients),), 1 / self.num_chosen, dtype=torch.float64)
        return torch.from_numpy(self.sizes[clients] / self.of_round)

    def passed(self, num_samples: int) -> None:
        """Count image passes, of whoever trained."""
        self.num_samples += num_samples if self.told else 0

    def add(self, clients: np.ndarray, result: LocalResult) -> None:
        """Take in what the training of clients has left whose uploads arrive."""
        sizes = self.sizes[clients]
        weight, share = (torch.from_numpy(sizes / total) for total in (self.of_round, self.of_all))
        self.sent += to_fixed(result.sent.cpu().double() * share[:, None]).sum(dim=0)
        if self.told:
            self.loss += to_fixed(result.loss.cpu().double() * weight).sum()

    def riders(self, stop: bool, counts: Tensor) -> Tensor:
        """Return the sums [3 + Q + R] int64; stop: whether this rank was asked to. counts: of the
        uplink [R]."""
        own = torch.tensor([int(self.loss), self.num_samples, int(stop)])
        return torch.cat([own, self.sent, counts])

    def read(self, riders: Tensor) -> tuple[float, int, bool, Tensor]:
        """Return the mean loss, nan where none is known, image passes, whether to stop, and what
        was sent [Q] float64."""
        _, num_samples, stop = riders[:3].tolist()
        sent = from_fixed(riders[3 : 3 + len(self.sent)])
        loss = float(from_fixed(riders[0])) if self.told and self.num_chosen else math.nan
        return loss, num_samples, bool(stop), sent


def check_bounded(shared: Tensor, cfg: Config) -> None:
    """Refuse shared numbers [S] that cannot be averaged again."""
    if bool((shared.abs() < LIMIT).all()):
        return
    name = cfg.correction.name
    also = "" if name is CorrectionName.none else f", or change correction.name={name.value}"
    if cfg.privacy.name is not Privacy.none:
        also += ", privacy.noise or privacy.clip"
    raise ValueError(
        f"optim.lr: {cfg.optim.lr} drove the shared numbers to values that are not "
        f"finite or not below {LIMIT:g}; lower optim.lr{also}"
    )
