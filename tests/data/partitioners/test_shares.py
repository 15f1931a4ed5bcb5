import numpy as np
import pytest
from decks import counts, deck_of, rules_of

from pfedmma_dist.data.partitioners.shares import evenly, follow, repair, shared_out


def test_shares_are_kept_to_within_one():
    draw = np.random.default_rng(0)
    dealt = np.bincount(shared_out(100, np.array([1.0, 0.0, 2.5, 6.5]), draw), minlength=4)
    assert abs(dealt - [10, 0, 25, 65]).max() <= 1


def test_even_deal_differs_by_one_and_mixes_classes():
    labels = np.repeat([0, 1], 500)
    owned = counts(labels, evenly(labels, 7, np.random.default_rng(0)))
    assert set(owned.sum(axis=1)) == {142, 143}
    assert (owned > 40).all()


def test_test_images_of_a_class_that_nobody_trains_on_are_nobodys():
    deck = deck_of(np.array([0, 0, 1]), np.array([0, 0, 1, 2]))
    train_client = np.array([0, 1, -1])
    dealt = follow(deck, train_client, rules_of(2), "test")
    assert sorted(dealt[:2]) == [0, 1]
    assert dealt[2] == -1
    assert dealt[3] in (0, 1)  # no training image at all: by size


def test_too_few_test_images_of_the_clients_classes_are_refused():
    deck = deck_of(np.array([0, 0, 1]), np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="data.num_clients: .* 1 readable test images of the cla"):
        follow(deck, np.array([0, 1, -1]), rules_of(2), "test")


def test_repair_takes_from_the_largest_what_the_poor_already_train_on():
    train = np.array([0] * 40 + [1] * 40)
    train_client = np.repeat([0, 0, 1, 2], [40, 20, 19, 1])  # client 2 has one image of class 1
    repair(train_client, train, 3, 3, train_client, train)
    assert counts(train, train_client).tolist() == [[40, 18], [0, 19], [0, 3]]


def test_repair_never_gives_what_is_nobodys():
    clients, labels = np.array([-1, 0, 0, -1]), np.zeros(4, int)
    repair(clients, labels, 2, 1, clients, labels)
    assert clients.tolist() == [-1, 0, 1, -1]


def test_nobody_poor_is_left_as_dealt():
    train_client = np.array([0, 0, 1, 1])
    repair(train_client, np.zeros(4, int), 2, 2, train_client, np.zeros(4, int))
    assert train_client.tolist() == [0, 0, 1, 1]
