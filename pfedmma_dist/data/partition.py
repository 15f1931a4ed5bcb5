"""Partition: which client owns which rows, and how classes and images are dealt to clients.

A way to deal images is a function from their labels to the client of each, as `dirichlet` is;
`Partition.group` turns its answer into rows.
"""

import heapq
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config import Division

DEAL_SEED = 2023
"""Seed of the published division of classes; the run's seed does not touch it (pFedMMA, FedPGP)."""

LEAST_TRAIN = 10
"""Training images that a Dirichlet division leaves every client with, or half of the clients' mean
where that is less, or one. The published code draws anew until everybody has 10 (label shift)."""


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
        """Give each member to its client, [n] both; a client's members keep their order."""
        sizes = np.bincount(clients, minlength=num_clients)
        assert len(sizes) == num_clients
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        return cls(offsets, members[np.argsort(clients, kind="stable")])

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


def dirichlet(
    train: np.ndarray, test: np.ndarray, num_clients: int, beta: float, seed: int, *keys: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide every class among clients in proportions p ~ Dir(beta); return each image's client.

    train, test: labels [n], [m] int64, of at least one image per client each. keys: what tells this
    division from others of the same seed. As published, a client that holds its n / K already
    takes no part in the classes still to come. Test images of a class are dealt in the proportions
    that its training images were. Nothing is ever drawn anew: a client short of `LEAST_TRAIN`, or
    without a test image, is given single images by whoever holds the most, which are at most
    `LEAST_TRAIN` + 1 moves per client.
    """
    assert 0 < num_clients <= min(len(train), len(test))
    num_classes = 1 + max(int(train.max()), int(test.max()))
    train_client, test_client = np.empty_like(train), np.empty_like(test)
    train_places, test_places = by_label(train, num_classes), by_label(test, num_classes)
    sizes = np.zeros(num_clients, np.int64)
    # In random order, since the last classes go to the few clients that still have room.
    for label in rng.generator(seed, "dirichlet", *keys).permutation(num_classes):
        places = train_places[label]
        if len(places) == 0:
            continue
        draw = rng.generator(seed, "dirichlet", *keys, label)
        # Logarithms of Gamma(beta) draws: the draws themselves vanish where beta is small.
        weight = np.log(draw.standard_gamma(beta + 1, num_clients))
        weight -= draw.standard_exponential(num_clients) / beta
        weight[sizes * num_clients >= len(train)] = -np.inf
        clients = _deal(len(places), np.exp(weight - weight.max()), draw)
        train_client[draw.permutation(places)] = clients
        sizes += np.bincount(clients, minlength=num_clients)
    least = max(1, min(LEAST_TRAIN, len(train) // (2 * num_clients)))
    _repair(train_client, train, num_clients, least, train_client, train)
    sizes = np.bincount(train_client, minlength=num_clients)
    for label, places in enumerate(test_places):
        draw = rng.generator(seed, "dirichlet-test", *keys, label)
        own = np.bincount(train_client[train_places[label]], minlength=num_clients)
        clients = _deal(len(places), own if own.any() else sizes, draw)
        test_client[draw.permutation(places)] = clients
    _repair(test_client, test, num_clients, 1, train_client, train)
    return train_client, test_client


def by_label(labels: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Return the places of every label, ascending."""
    cuts = np.cumsum(np.bincount(labels, minlength=num_classes))
    return np.split(np.argsort(labels, kind="stable"), cuts[:-1])


def _deal(count: int, shares: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return the clients [count] of so many images in proportion to `shares` [K], to within one.

    Clients stand in random order, so that nobody is always the one who gains by rounding.
    """
    order = draw.permutation(len(shares))
    ends = np.cumsum(shares[order])
    return order[np.searchsorted(ends, (np.arange(count) + 0.5) * (ends[-1] / max(count, 1)))]


def _repair(
    client_of: np.ndarray,
    labels: np.ndarray,
    num_clients: int,
    least: int,
    train_client: np.ndarray,
    train: np.ndarray,
) -> None:
    """Give single images of the largest clients to those with fewer than `least`, in place.

    client_of, labels: client and label of each image [n]; least: at most half of n / K, or 1. Of
    what a donor has, the class is taken that the receiver trains on most, then the donor's largest.
    """
    sizes = np.bincount(client_of, minlength=num_clients)
    short = np.flatnonzero(sizes < least)
    if len(short) == 0:
        return
    images = Partition.group(client_of, np.arange(len(labels)), num_clients)
    trained = Partition.group(train_client, train, num_clients)
    donors = [(-int(sizes[client]), int(client)) for client in np.flatnonzero(sizes > least)]
    heapq.heapify(donors)
    piles: dict[int, dict[int, list[int]]] = {}  # donor -> label -> images left
    for client in short:
        held = Counter(trained.rows(client).tolist())
        for _ in range(least - int(sizes[client])):
            size, donor = heapq.heappop(donors)
            if donor not in piles:
                own = images.rows(donor)
                kinds, places = np.unique(labels[own], return_inverse=True)
                split = Partition.group(places, own, len(kinds))
                piles[donor] = {int(k): split.rows(i).tolist() for i, k in enumerate(kinds)}
            pile = max(piles[donor].items(), key=lambda item: (held[item[0]], len(item[1])))
            label, image = pile[0], pile[1].pop()
            if not pile[1]:
                del piles[donor][label]
            client_of[image] = client
            held[label] += 1
            heapq.heappush(donors, (size + 1, donor))
