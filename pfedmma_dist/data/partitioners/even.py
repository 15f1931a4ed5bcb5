"""Even deals: everybody gets equally many images, of all classes or of those of one superclass."""

import numpy as np

from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.shares import evenly, follow, repair


def iid(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Deal all images at random, in numbers that differ by one at most ("homo")."""
    deck.refuse_more_clients(rules.num_clients)
    return (
        evenly(deck.train, rules.num_clients, rules.generator("iid")),
        evenly(deck.test, rules.num_clients, rules.generator("iid-test")),
    )


def superclass(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Give each superclass to a group of clients of its own, evenly within it ("iid-label100").

    Groups are of neighbours and differ by one client at most. A client is given an image of another
    superclass only where its own has fewer images than the group has clients.
    """
    num_clients = rules.num_clients
    deck.refuse_more_clients(num_clients)
    coarse = deck.coarse(deck.train)
    kinds = np.unique(coarse)
    if num_clients < len(kinds):
        raise ValueError(
            f"data.num_clients: with a superclass each, {num_clients} clients leave some of the "
            f"{len(kinds)} of {deck.place} to nobody; set {len(kinds)} or more"
        )
    train_client = np.empty_like(deck.train)
    firsts = -(-np.arange(len(kinds) + 1) * num_clients // len(kinds))
    for kind, first, end in zip(kinds, firsts, firsts[1:], strict=False):
        mine = np.flatnonzero(coarse == kind)
        draw = rules.generator("superclass", kind)
        train_client[mine] = first + evenly(deck.train[mine], end - first, draw)
    repair(train_client, deck.train, num_clients, 1, train_client, deck.train)
    return train_client, follow(deck, train_client, rules, "superclass-test")
