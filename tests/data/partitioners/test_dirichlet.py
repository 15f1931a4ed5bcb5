import numpy as np
import pytest
from decks import counts, deck_of, rules_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pfedmma_dist.data.partitioners.dirichlet import LEAST_TRAIN, dirichlet


@settings(max_examples=100, deadline=None)
@given(num_clients=st.integers(1, 90), extra=st.integers(0, 300), beta=st.floats(-6, 6))
def test_nobody_is_left_short(num_clients, extra, beta):
    train = np.arange(num_clients + extra) % 7
    clients, _ = dirichlet(deck_of(train), rules_of(num_clients, beta=10**beta))
    sizes = np.bincount(clients, minlength=num_clients)
    assert sizes.min() >= max(1, min(LEAST_TRAIN, len(train) // (2 * num_clients)))


@pytest.mark.parametrize("beta", [1e-6, 1e-3, 1.0, 1e6])
def test_division_ends_with_as_many_clients_as_images(beta):
    for clients in dirichlet(deck_of(np.arange(1000) % 3), rules_of(1000, beta=beta)):
        assert sorted(clients) == list(range(1000))


def test_small_beta_is_more_skewed_than_a_large_one():
    labels = np.arange(20_000) % 20
    skew = [
        counts(labels, dirichlet(deck_of(labels), rules_of(20, beta=beta))[0]).std()
        for beta in (0.1, 1.0, 1e6)
    ]
    assert skew[0] > 1.5 * skew[1] > 10 * skew[2]
    assert skew[2] <= 1.0  # 50 images of every class for every client


def test_sizes_are_those_of_the_published_division():
    labels, published = np.arange(50_000) % 100, 82.7  # deviation of sizes
    deck = deck_of(labels, labels[:10_000])
    owned = counts(labels, dirichlet(deck, rules_of(100, beta=0.1))[0])
    assert 0.7 * published < owned.sum(axis=1).std() < 1.4 * published
    assert 30 < (owned > 0).sum(axis=1).mean() < 34  # 32.9 published
