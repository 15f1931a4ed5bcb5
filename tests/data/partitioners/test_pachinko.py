import numpy as np
from decks import counts, deck_of, rules_of

from pfedmma_dist.data.partitioners.pachinko import TURNS, pachinko

LABELS, COARSE = np.arange(50_000) % 100, np.arange(100) // 5


def dealt(num_clients: int, beta: float, labels: np.ndarray = LABELS) -> np.ndarray:
    deck = deck_of(labels, labels[: len(labels) // 5], superclasses=COARSE)
    return counts(labels, pachinko(deck, rules_of(num_clients, beta=beta))[0])


def test_clients_have_equally_many_images_and_all_are_dealt():
    sizes = dealt(num_clients=70, beta=0.1).sum(axis=1)
    assert set(sizes) == {714, 715}
    assert sizes.sum() == len(LABELS)


def test_skew_is_that_of_the_published_allocation():
    owned = dealt(num_clients=100, beta=0.5)
    num_classes = (owned > 0).sum(axis=1)
    assert 63 < num_classes.mean() < 71  # 66.98 published
    assert num_classes.min() < 30  # 8 published, of the last to choose
    assert 7.2 < owned.std() < 8.2  # 7.70 published


def test_beta_skews_superclasses_and_leaves_their_classes_mixed():
    owned = dealt(num_clients=100, beta=0.02)
    coarse = owned.reshape(100, 20, 5).sum(axis=2)
    assert np.median((coarse > 0).sum(axis=1)) <= 4
    own = owned.reshape(100, 20, 5)[np.arange(100), coarse.argmax(axis=1)]
    assert np.median((own > 0).sum(axis=1)) >= 4


def test_last_to_choose_are_not_the_last_clients():
    num_classes = (dealt(num_clients=100, beta=0.5) > 0).sum(axis=1)
    assert num_classes[-20:].mean() > 50


def test_several_clients_choose_in_one_turn_where_there_are_many():
    owned = dealt(num_clients=10 * TURNS, beta=0.1, labels=LABELS[:12_800])
    assert set(owned.sum(axis=1)) == {10}
    assert (owned > 0).sum(axis=1).mean() < 8  # 9.6 at random
