"""Natural clients: hospitals, users, cameras. The images say themselves whose they are."""

import numpy as np

from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.partition import NOBODY
from pfedmma_dist.data.partitioners.shares import follow


def natural(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Leave every image with its owner.

    Where no test image has one, they go where the training images of their class went; where some
    have one, the others are nobody's. A client may have no test image, and then has no score of its
    own; one without a training image is refused.
    """
    if deck.train_owner is None or deck.test_owner is None:
        raise without_owners(deck.place)
    num_owners = len(deck.owner_names)
    if rules.num_clients != num_owners:
        raise ValueError(
            f"data.num_clients: {deck.place} comes with {num_owners} clients of its own, not "
            f"{rules.num_clients}; set data.num_clients={num_owners}, or null for as many as there "
            "are"
        )
    num_lost = np.count_nonzero(deck.train_owner == NOBODY)
    if num_lost:
        raise ValueError(
            f"data.partition: natural needs an owner for every training image, and {num_lost} of "
            f"{len(deck.train)} in {deck.place} have none; give them one, or leave them out"
        )
    idle = np.flatnonzero(np.bincount(deck.train_owner, minlength=num_owners) == 0)
    if len(idle):
        raise ValueError(
            f"data.partition: natural client {deck.owner_names[idle[0]]!r}, the first of "
            f"{len(idle)}, has no readable training image in {deck.place}; give it one, or leave "
            "its test images out"
        )
    if (deck.test_owner == NOBODY).all():
        dealt = follow(deck, deck.train_owner, rules, "natural-test", everybody=False)
        return deck.train_owner, dealt
    return deck.train_owner, deck.test_owner


def without_owners(place: str) -> ValueError:
    """Return the error for images that do not come with clients."""
    return ValueError(
        f"data.partition: natural needs images that come with a client each, and {place} has none "
        "such; choose another data.partition, or a list of images with a column of clients"
    )
