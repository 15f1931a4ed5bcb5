"""Partition: which client owns which rows or labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NOBODY = -1
"""The client of an image that is left out."""


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

    @classmethod
    def group(cls, clients: np.ndarray, members: np.ndarray, num_clients: int) -> "Partition":
        """Give each member to its client, [n] both, NOBODY's to none; members keep their order."""
        sizes = np.bincount(clients[clients != NOBODY], minlength=num_clients)
        assert len(sizes) == num_clients
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        ordered = np.argsort(clients, kind="stable")  # NOBODY first
        return cls(offsets, members[ordered[len(clients) - offsets[-1] :]])

    @property
    def num_clients(self) -> int:
        return len(self.offsets) - 1

    def sizes(self, clients: np.ndarray | None = None) -> np.ndarray:
        """Return how much these clients (None: all of them) own, int64."""
        sizes = np.diff(self.offsets)
        return sizes if clients is None else sizes[clients]

    def owners(self) -> np.ndarray:
        """Return the client of each member."""
        return np.repeat(np.arange(self.num_clients), self.sizes())

    def rows(self, client: int) -> np.ndarray:
        """Return what a client owns, without a copy."""
        assert 0 <= client < self.num_clients
        return self.members[self.offsets[client] : self.offsets[client + 1]]

    def rows_of_all(self, clients: np.ndarray) -> np.ndarray:
        """Return what these clients own, one after another."""
        sizes = self.sizes(clients)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else sizes
        places = np.arange(sizes.sum()) + np.repeat(self.offsets[clients] - starts, sizes)
        return self.members[places]


def by_label(labels: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Return the places of every label, ascending."""
    cuts = np.cumsum(np.bincount(labels, minlength=num_classes))
    return np.split(np.argsort(labels, kind="stable"), cuts[:-1])
