"""Pachinko allocation: clients prefer few superclasses, and in each of them some of its classes."""

import numpy as np

from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.dirichlet import log_gamma
from pfedmma_dist.data.partitioners.partition import by_label
from pfedmma_dist.data.partitioners.shares import follow

FINE = 10.0
"""Concentration of a client's preferences within a superclass (pFedMMA's code; Reddi et al., ICLR
2021); `data.beta` is that of its superclasses."""

TURNS = 128
"""Turns in which clients choose, each alone where there are no more clients than turns (published)
and several at a time where there are."""


def pachinko(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Let clients draw n / K training images each by preference ("noniid-labeldir100").

    A client prefers superclasses by Dir(beta) and classes within one by Dir(10). Where a class runs
    out, what it was preferred by goes to the rest of its superclass, and of a superclass to all
    others. Where more of a class is wished for than is left, chance decides whose wish is granted,
    and the others wish again among what is left: every pass but one per turn uses up a class. No
    training image is left over.
    """
    train, num_clients = deck.train, rules.num_clients
    deck.refuse_more_clients(num_clients)
    tree = _Tree(deck)
    piles = [rules.generator("pachinko", c).permutation(p) for c, p in enumerate(tree.places)]
    left = np.array([len(pile) for pile in piles])
    train_client = np.empty_like(train)
    # The last to choose take what is left, and their numbers should not tell.
    order = rules.generator("pachinko").permutation(num_clients)
    quota = np.diff(np.arange(num_clients + 1) * len(train) // num_clients)
    for turn, clients in enumerate(np.array_split(order, min(TURNS, num_clients))):
        draw = rules.generator("pachinko-turn", turn)
        wishes = _Wishes(tree, rules.cfg.beta, len(clients), draw)
        pending = quota[clients]
        while pending.any():
            granted = draw.multinomial(pending, wishes.among(left > 0))  # [B, C]
            for column in np.flatnonzero(granted.sum(axis=0) > left):
                granted[:, column] = draw.multivariate_hypergeometric(
                    granted[:, column], left[column], method="marginals"
                )
            for column in np.flatnonzero(granted.any(axis=0)):
                owners = np.repeat(clients, granted[:, column])
                taken = len(piles[column]) - left[column]
                train_client[piles[column][taken : taken + len(owners)]] = owners
            left -= granted.sum(axis=0)
            pending -= granted.sum(axis=1)
    return train_client, follow(deck, train_client, rules, "pachinko-test")


class _Tree:
    """Classes with training images, as columns sorted by superclass."""

    def __init__(self, deck: Deck) -> None:
        places = by_label(deck.train, deck.num_classes)
        known = np.array([label for label, own in enumerate(places) if len(own)])
        known = known[np.argsort(deck.coarse(known), kind="stable")]
        self.places = [places[label] for label in known]  # [C] of the images of each column
        kinds, self.starts, self.coarse = np.unique(
            deck.coarse(known), return_index=True, return_inverse=True
        )  # first column of each superclass [S], superclass of each column [C]
        self.num_coarse = len(kinds)


class _Wishes:
    """What each of B clients prefers."""

    def __init__(self, tree: _Tree, beta: float, num: int, draw: np.random.Generator) -> None:
        self.tree = tree
        self.coarse = log_gamma(beta, (num, tree.num_coarse), draw)  # [B, S]
        self.fine = draw.standard_gamma(FINE, (num, len(tree.coarse)))  # [B, C]

    def among(self, there: np.ndarray) -> np.ndarray:
        """Return the probabilities [B, C] of the classes that are there [C], zero for others."""
        tree = self.tree
        fine = np.where(there, self.fine, 0.0)
        total = np.add.reduceat(fine, tree.starts, axis=1)  # [B, S]
        coarse = np.where(total > 0, self.coarse, -np.inf)
        coarse = np.exp(coarse - coarse.max(axis=1, keepdims=True))
        coarse /= coarse.sum(axis=1, keepdims=True)
        share = coarse / np.where(total > 0, total, 1.0)
        return share[:, tree.coarse] * fine
