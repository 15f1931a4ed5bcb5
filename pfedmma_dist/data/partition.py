"""Partition: which client owns which rows, and how classes are dealt to clients."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pfedmma_dist.config import Division

DEAL_SEED = 2023
"""Seed of the published division of classes; the run's seed does not touch it (pFedMMA, FedPGP)."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Numbers owned by clients (rows or labels), one client after another in a single array."""

    offsets: np.ndarray  # [K+1] int64
    members: np.ndarray  # [n] int64

    @classmethod
    def of(cls, owned: Sequence[np.ndarray]) -> "Partition":
        """Join what each client owns."""
        offsets = np.zeros(len(owned) + 1, np.int64)
        np.cumsum([len(rows) for rows in owned], out=offsets[1:])
        members = np.concatenate([np.empty(0, np.int64), *owned]).astype(np.int64)
        return cls(offsets, members)

    @property
    def num_clients(self) -> int:
        return len(self.offsets) - 1

    def sizes(self, clients: np.ndarray | None = None) -> np.ndarray:
        """Return how much these clients (None: all of them) own, int64."""
        sizes = np.diff(self.offsets)
        return sizes if clients is None else sizes[clients]

    def rows(self, client: int) -> np.ndarray:
        """Return what a client owns, without a copy."""
        assert 0 <= client < self.num_clients
        return self.members[self.offsets[client] : self.offsets[client + 1]]


def deal_classes(num_classes: int, num_clients: int, division: Division) -> list[np.ndarray]:
    """Return the ascending labels of each client; every label has one owner.

    published: of the shuffled labels each client takes the next round(classes / clients), half
    rounded to even, and the last takes what is left. Where rounding up runs out of labels, late
    clients get none. balanced: the same shuffle, cut into parts that differ by one at most.
    """
    shuffled = list(range(num_classes))
    random.Random(DEAL_SEED).shuffle(shuffled)
    labels = np.array(shuffled, np.int64)
    if division is Division.balanced:
        parts = np.array_split(labels, num_clients)
    else:
        quota = round(num_classes / num_clients)
        parts = np.split(labels, np.minimum(quota * np.arange(1, num_clients), num_classes))
    return [np.sort(part) for part in parts]
