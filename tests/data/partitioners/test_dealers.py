"""What holds for every way of dealing, whatever the images, the clients and the concentration."""

import numpy as np
import pytest
from decks import counts, deck_of, rules_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pfedmma_dist.config.keys import Dealing
from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.partition import NOBODY, by_label
from pfedmma_dist.data.partitioners.registry import DEALERS

every_dealer = pytest.mark.parametrize("dealing", Dealing, ids=lambda dealing: dealing.value)


@st.composite
def decks(draw: st.DrawFn) -> tuple[Deck, Rules]:
    """Draw 1 to 1,000 clients, at least an image of each kind for each, and beta 1e-3 to 1e3."""
    num_clients = draw(st.one_of(st.integers(1, 30), st.integers(1, 1000)))
    num_classes, seed = draw(st.integers(1, 12)), draw(st.integers(0, 99))
    random = np.random.default_rng(seed)
    train, test = (
        random.integers(0, num_classes, num_clients + draw(st.integers(0, 300))) for _ in range(2)
    )
    # Few clients may own few classes, and then need their test images in these.
    test = np.append(test, np.tile(np.arange(num_classes), num_clients if num_clients < 12 else 0))
    num_coarse = draw(st.integers(1, min(num_classes, num_clients)))
    known = len(np.unique(train))
    owners = (random.permutation(len(labels)) % num_clients for labels in (train, test))
    deck = Deck(
        train,
        test,
        "the table",
        random.permutation(num_classes) % num_coarse,
        *owners,
        tuple(map(str, range(num_clients))),
    )
    beta, each = 10 ** draw(st.floats(-3, 3)), draw(st.integers(1, known))
    return deck, rules_of(num_clients, seed, beta=beta, classes_per_client=each)


def test_every_dealing_that_can_be_named_has_a_function():
    assert DEALERS.keys() == set(Dealing)


@every_dealer
@settings(max_examples=40, deadline=None)
@given(case=decks())
def test_image_has_one_owner_and_client_has_images(dealing, case):
    deck, rules = case
    for labels, clients in zip((deck.train, deck.test), DEALERS[dealing](deck, rules), strict=True):
        assert clients.shape == labels.shape
        assert ((clients >= NOBODY) & (clients < rules.num_clients)).all()
        sizes = np.bincount(clients[clients != NOBODY], minlength=rules.num_clients)
        assert sizes.min() >= 1
        left_out = labels[clients == NOBODY]
        assert sizes.sum() + len(left_out) == len(labels)
        # Classes are left out as a whole, and only where clients cannot own them all.
        assert not np.isin(left_out, labels[clients != NOBODY]).any()
        if len(left_out):
            owned = rules.num_clients * rules.cfg.classes_per_client
            assert dealing is Dealing.classes and owned < len(np.unique(deck.train))


@every_dealer
@settings(max_examples=20, deadline=None)
@given(case=decks(), seed=st.integers(0, 99))
def test_owner_depends_on_class_and_place_within_it_alone(dealing, case, seed):
    """Permute all images: the i-th image of a class, in the new order, has the old one's owner."""
    deck, rules = case
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(labels)) for labels in (deck.train, deck.test)]
    if dealing is Dealing.natural:  # images know their owners and take them along
        owners = [deck.train_owner[orders[0]], deck.test_owner[orders[1]]]
    else:
        owners = [None, None]
    other = Deck(
        deck.train[orders[0]],
        deck.test[orders[1]],
        deck.place,
        deck.superclasses,
        *owners,
        deck.owner_names,
    )
    before, after = (DEALERS[dealing](d, rules) for d in (deck, other))
    for kind, order in enumerate(orders):
        if dealing is Dealing.natural:
            assert (after[kind] == before[kind][order]).all()
            continue
        labels = (deck.train, deck.test)[kind]
        places = by_label(labels, deck.num_classes)
        moved = by_label(labels[order], deck.num_classes)
        for old, new in zip(places, moved, strict=True):
            assert (after[kind][new] == before[kind][old]).all()


DRAWN = [dealing for dealing in Dealing if dealing is not Dealing.natural]


@pytest.mark.parametrize("dealing", DRAWN, ids=lambda dealing: dealing.value)
def test_deal_follows_seed_and_keys_alone(dealing):
    deck = deck_of(np.arange(400) % 5, superclasses=np.arange(5) // 2)

    def clients_of(seed: int = 1, keys: tuple[int, ...] = ()) -> tuple[int, ...]:
        rules = rules_of(8, seed, keys)
        return tuple(np.concatenate(DEALERS[dealing](deck, rules)).tolist())

    assert clients_of() == clients_of()
    assert len({clients_of(), clients_of(seed=2), clients_of(keys=(3,))}) == 3


@pytest.mark.parametrize("dealing", DRAWN, ids=lambda dealing: dealing.value)
def test_test_images_follow_the_training_images(dealing):
    train, test = np.arange(20_000) % 10, np.arange(4_000) % 10
    deck = deck_of(train, test, superclasses=np.arange(10) // 2)
    dealt = DEALERS[dealing](deck, rules_of(20))
    owned, tested = map(counts, (train, test), dealt)
    slack = 15 if dealing is Dealing.iid else 1  # iid deals both kinds at random
    assert abs(owned / 5 - tested).max() <= slack


@pytest.mark.parametrize("dealing", DRAWN, ids=lambda dealing: dealing.value)
@pytest.mark.parametrize("kind", ["training", "test"])
def test_more_clients_than_images_are_refused(dealing, kind):
    few, many = np.zeros(3, int), np.zeros(9, int)
    deck = deck_of(*((few, many) if kind == "training" else (many, few)), superclasses=few)
    with pytest.raises(ValueError, match=f"data.num_clients: the table has 3 readable {kind}"):
        DEALERS[dealing](deck, rules_of(4, classes_per_client=1))
