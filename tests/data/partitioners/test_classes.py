import numpy as np
import pytest
from decks import counts, deck_of, rules_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pfedmma_dist.data.partitioners.classes import SHARES, classes


@settings(max_examples=60, deadline=None)
@given(num_clients=st.integers(1, 40), each=st.integers(1, 9), seed=st.integers(0, 99))
def test_clients_have_so_many_classes_and_classes_as_many_owners(num_clients, each, seed):
    labels = np.arange(9 * 40) % 9
    dealt, _ = classes(deck_of(labels), rules_of(num_clients, seed, classes_per_client=each))
    owned = counts(labels, dealt) > 0
    assert (owned.sum(axis=1) == each).all()
    owners = owned.sum(axis=0)
    assert owners.max() - owners.min() <= 1


def test_owners_of_a_class_have_shares_like_those_published():
    labels = np.arange(10_000) % 10
    owned = counts(labels, classes(deck_of(labels), rules_of(20, classes_per_client=2))[0])
    shares = owned[owned > 0] / 1000
    low, high = SHARES
    assert 80 > len(shares) >= 40
    assert low / (low + 3 * high) < shares.min() < shares.max() < high / (high + 3 * low)
    assert shares.std() > 0.01


@pytest.mark.parametrize("seed", range(8))
def test_class_with_fewer_images_than_owners_goes_to_who_has_least(seed):
    labels = np.repeat([0, 1, 2], [10, 4, 1])  # two owners each, in three different pairs
    deck = deck_of(labels, np.arange(30) % 3)
    owned = counts(labels, classes(deck, rules_of(3, seed, classes_per_client=2))[0])
    assert owned[owned[:, 2] > 0].tolist() == [[0, 2, 1]]


def test_more_classes_per_client_than_there_are_is_refused():
    with pytest.raises(ValueError, match="data.classes_per_client: .* 4 of the 3 classes .* set 3"):
        classes(deck_of(np.arange(30) % 3), rules_of(2, classes_per_client=4))
