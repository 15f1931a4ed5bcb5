"""Decks made by hand, and what a deal gave to whom."""

import numpy as np

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.partitioners.deck import Deck, Rules


def deck_of(train: np.ndarray, test: np.ndarray | None = None, **more: object) -> Deck:
    """Return a deck of these labels; the test labels are the training labels where none are."""
    return Deck(train, train if test is None else test, "the table", **more)


def rules_of(num_clients: int, seed: int = 0, keys: tuple[int, ...] = (), **data: object) -> Rules:
    """Return the rules for so many clients; data: of the configuration."""
    return Rules(DataConfig(**data), num_clients, seed, keys)


def counts(labels: np.ndarray, clients: np.ndarray) -> np.ndarray:
    """Return the images of each client and class [K, C]; nobody's are not counted."""
    table = np.zeros((clients.max() + 1, labels.max() + 1), np.int64)
    np.add.at(table, (clients[clients >= 0], labels[clients >= 0]), 1)
    return table
