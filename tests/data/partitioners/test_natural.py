import numpy as np
import pytest
from decks import deck_of, rules_of

from pfedmma_dist.data.partitioners.deck import Deck
from pfedmma_dist.data.partitioners.natural import natural

LABELS, NAMES = np.array([0, 0, 1, 1]), ("ward A", "ward B")


def deck(train: list[int], test: list[int]) -> Deck:
    owners = {"train_owner": np.array(train), "test_owner": np.array(test)}
    return deck_of(LABELS, owner_names=NAMES, **owners)


def test_images_stay_with_their_owners():
    train, test = natural(deck([0, 1, 1, 0], [1, 1, 0, 0]), rules_of(2))
    assert train.tolist() == [0, 1, 1, 0]
    assert test.tolist() == [1, 1, 0, 0]


def test_client_may_be_without_test_images_and_test_images_without_client():
    assert natural(deck([0, 1, 1, 0], [1, 1, -1, 1]), rules_of(2))[1].tolist() == [1, 1, -1, 1]


def test_test_images_without_any_owner_follow_the_training_images():
    assert natural(deck([0, 0, 1, 1], [-1] * 4), rules_of(2))[1].tolist() == [0, 0, 1, 1]


REFUSED = {
    "number": ([0, 1, 1, 0], 3, "data.num_clients: .* 2 clients of its own, not 3; .*=2, or null"),
    "no owner": ([0, 1, -1, 0], 2, "an owner for every training image, and 1 of 4 in the table"),
    "no image": ([0, 0, 0, 0], 2, "natural client 'ward B', the first of 1, has no readable train"),
}


@pytest.mark.parametrize("owners, num_clients, message", REFUSED.values(), ids=REFUSED)
def test_owners_that_make_no_clients_are_refused(owners, num_clients, message):
    with pytest.raises(ValueError, match=message):
        natural(deck(owners, [0, 1, 0, 1]), rules_of(num_clients))


def test_images_that_come_without_clients_are_refused():
    with pytest.raises(ValueError, match="data.partition: natural needs images that come with a"):
        natural(deck_of(LABELS), rules_of(2))
