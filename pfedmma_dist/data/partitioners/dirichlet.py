"""Dirichlet: every class is divided among all clients in random proportions, and all of it."""

import numpy as np

from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.partition import by_label
from pfedmma_dist.data.partitioners.shares import follow, repair, shared_out

LEAST_TRAIN = 10
"""Training images that a Dirichlet division leaves every client with, or half of the clients' mean
where that is less, or one. The published code draws anew until everybody has 10 (label shift)."""


def dirichlet(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Divide every class among clients in proportions p ~ Dir(beta); return each image's client.

    As published ("noniid-labeldir"), a client that holds its n / K already takes no part in the
    classes still to come. Nothing is ever drawn anew: a client short of `LEAST_TRAIN`, or without
    a test image, is given single images by whoever holds the most, which are at most `LEAST_TRAIN`
    + 1 moves per client.
    """
    train, num_clients, beta = deck.train, rules.num_clients, rules.cfg.beta
    deck.refuse_more_clients(num_clients)
    train_client = np.empty_like(train)
    train_places = by_label(train, deck.num_classes)
    sizes = np.zeros(num_clients, np.int64)
    # In random order, since the last classes go to the few clients that still have room.
    for label in rules.generator("dirichlet").permutation(deck.num_classes):
        places = train_places[label]
        if len(places) == 0:
            continue
        draw = rules.generator("dirichlet", label)
        weight = log_gamma(beta, num_clients, draw)
        weight[sizes * num_clients >= len(train)] = -np.inf
        clients = shared_out(len(places), np.exp(weight - weight.max()), draw)
        train_client[draw.permutation(places)] = clients
        sizes += np.bincount(clients, minlength=num_clients)
    least = max(1, min(LEAST_TRAIN, len(train) // (2 * num_clients)))
    repair(train_client, train, num_clients, least, train_client, train)
    return train_client, follow(deck, train_client, rules, "dirichlet-test")


def log_gamma(shape: float, size: int | tuple[int, ...], draw: np.random.Generator) -> np.ndarray:
    """Return logarithms of Gamma(shape) draws: the draws themselves vanish where it is small.

    Divided by their sum, Gamma(beta) draws are Dir(beta).
    """
    return np.log(draw.standard_gamma(shape + 1, size)) - draw.standard_exponential(size) / shape
