import numpy as np
import pytest
from decks import counts, deck_of, rules_of

from pfedmma_dist.data.partitioners.even import iid, superclass


def test_iid_clients_differ_by_one_image_of_either_kind():
    deck = deck_of(np.arange(500) % 4, np.arange(90) % 4)
    for clients in iid(deck, rules_of(7)):
        sizes = np.bincount(clients)
        assert sizes.max() - sizes.min() == 1


def test_neighbours_share_a_superclass_evenly():
    labels, coarse = np.arange(600) % 6, np.array([2, 0, 1, 1, 0, 2])
    dealt, _ = superclass(deck_of(labels, superclasses=coarse), rules_of(6))
    owned = counts(labels, dealt)
    assert owned.sum(axis=1).tolist() == [100] * 6
    kinds = [set(coarse[np.flatnonzero(row)]) for row in owned]
    assert kinds == [{0}, {0}, {1}, {1}, {2}, {2}]


def test_fewer_clients_than_superclasses_are_refused():
    deck = deck_of(np.arange(60) % 6, superclasses=np.arange(6) // 2)
    with pytest.raises(
        ValueError, match="data.num_clients: .* 2 clients .* 3 of the table .*set 3 or more"
    ):
        superclass(deck, rules_of(2))


def test_classes_without_superclasses_are_refused():
    with pytest.raises(ValueError, match="data.partition: pachinko and superclass need .*cifar100"):
        superclass(deck_of(np.arange(60) % 6), rules_of(6))
