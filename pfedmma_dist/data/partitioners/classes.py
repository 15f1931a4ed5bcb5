"""Classes: every client has images of the same, small number of classes."""

import numpy as np

from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.partition import by_label
from pfedmma_dist.data.partitioners.shares import follow, repair, shared_out

SHARES = (0.4, 0.6)
"""Between these the shares of a class are drawn, before they are scaled to add up (published)."""


def classes(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Give each client `classes_per_client` different classes ("noniid-labeluni").

    A class has as many owners as any other, or one more. They have shares of it in proportion to
    U(0.4, 0.6), but an image each before anybody has two. Where there are more classes than all
    clients together may have, some are nobody's. A client is given an image of another class only
    where its own have fewer images than owners.
    """
    num_clients = rules.num_clients
    deck.refuse_more_clients(num_clients)
    owned = _choose(deck, rules)  # [K, classes of a client]
    owners = np.split(
        np.argsort(owned.ravel(), kind="stable") // owned.shape[1],
        np.cumsum(np.bincount(owned.ravel(), minlength=deck.num_classes))[:-1],
    )
    train_client = np.full(len(deck.train), -1)
    sizes = np.zeros(num_clients, np.int64)
    for label, places in enumerate(by_label(deck.train, deck.num_classes)):
        own, draw = owners[label], rules.generator("classes", label)
        if len(own) == 0:
            continue
        # One each, whoever has least so far first; then what is left, in shares.
        own = draw.permutation(own)
        first = own[np.argsort(sizes[own], kind="stable")][: len(places)]
        rest = shared_out(len(places) - len(first), draw.uniform(*SHARES, len(own)), draw)
        clients = np.concatenate([first, own[rest]])
        train_client[draw.permutation(places)] = clients
        sizes += np.bincount(clients, minlength=num_clients)
    repair(train_client, deck.train, num_clients, 1, train_client, deck.train)
    return train_client, follow(deck, train_client, rules, "classes-test")


def _choose(deck: Deck, rules: Rules) -> np.ndarray:
    """Return the classes of each client [K, c], different ones, all of them equally often.

    Clients take the next c classes of random orders of all of them, one order after another. Where
    a client stands across two orders, the second begins with what it does not have yet.
    """
    known, each = np.unique(deck.train), rules.cfg.classes_per_client
    if each > len(known):
        raise ValueError(
            f"data.classes_per_client: a client cannot have {each} of the {len(known)} classes "
            f"with readable training images in {deck.place}; set {len(known)} or fewer"
        )
    draw, chosen = rules.generator("classes"), np.empty(0, np.int64)
    wanted = rules.num_clients * each
    orders: list[np.ndarray] = []
    for start in range(0, wanted, len(known)):
        order = draw.permutation(known)
        held = np.isin(order, chosen[len(chosen) - start % each :])
        chosen = np.concatenate([order[~held], order[held]])
        orders.append(chosen)
    return np.concatenate(orders)[:wanted].reshape(rules.num_clients, each)
