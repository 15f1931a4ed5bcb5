"""Deal images of one class in given shares, and mend what a deal leaves too small."""

import heapq
from collections import Counter

import numpy as np

from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.partition import NOBODY, Partition, by_label


def shared_out(count: int, shares: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return the clients [count] of so many images in proportion to `shares` [K], to within one.

    Clients stand in random order, so that nobody is always the one who gains by rounding.
    """
    order = draw.permutation(len(shares))
    ends = np.cumsum(shares[order])
    return order[np.searchsorted(ends, (np.arange(count) + 0.5) * (ends[-1] / max(count, 1)))]


def evenly(labels: np.ndarray, num_clients: int, draw: np.random.Generator) -> np.ndarray:
    """Return the clients of images [n] at random, whose numbers of images differ by one at most."""
    by_class = np.argsort(labels, kind="stable")  # an image counts by its place in its class
    clients = np.empty(len(labels), np.int64)
    order = by_class[draw.permutation(len(labels))]
    clients[order] = np.arange(len(labels)) * num_clients // len(labels)
    return clients


def follow(
    deck: Deck, train_client: np.ndarray, rules: Rules, purpose: str, *, everybody: bool = True
) -> np.ndarray:
    """Return the client of each test image: those of a class go where its training images went.

    They are dealt in the same proportions to within one; those of a class that nobody trains on
    are nobody's, unless it has no training image at all: then they go by the sizes of the clients.
    everybody: give a test image to a client that is left without.
    """
    num_clients = rules.num_clients
    test_client = np.full(len(deck.test), NOBODY)
    train_places = by_label(deck.train, deck.num_classes)
    sizes = np.bincount(train_client[train_client != NOBODY], minlength=num_clients)
    for label, places in enumerate(by_label(deck.test, deck.num_classes)):
        draw = rules.generator(purpose, label)
        own = train_client[train_places[label]]
        shares = np.bincount(own[own != NOBODY], minlength=num_clients) if len(own) else sizes
        if shares.any():
            clients = shared_out(len(places), shares, draw)
            test_client[draw.permutation(places)] = clients
    if not everybody:
        return test_client
    num_dealt = np.count_nonzero(test_client != NOBODY)
    if num_dealt < num_clients:
        raise ValueError(
            f"data.num_clients: {deck.place} has {num_dealt} readable test images of the classes "
            f"that the {num_clients} clients train on, too few for one each; set fewer clients, or "
            "add images"
        )
    repair(test_client, deck.test, num_clients, 1, train_client, deck.train)
    return test_client


def repair(
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
    These are at most `least` moves per client, each of O(classes of the donor + log K).
    """
    sizes = np.bincount(client_of[client_of != NOBODY], minlength=num_clients)
    short = np.flatnonzero(sizes < least)
    if len(short) == 0:
        return
    images = Partition.group(client_of, np.arange(len(labels)), num_clients)
    trained = Partition.group(train_client, train, num_clients)
    donors = [(-int(sizes[client]), int(client)) for client in np.flatnonzero(sizes > least)]
    heapq.heapify(donors)
    piles: dict[int, dict[int, list[int]]] = {}  # donor -> label -> images left
    for client in short.tolist():
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
