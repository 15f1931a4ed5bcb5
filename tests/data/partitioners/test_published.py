"""The published divisions, against assignments recorded from the published code."""

import random
from pathlib import Path

import numpy as np
import pytest
from decks import counts, deck_of, rules_of

from pfedmma_dist.data.partitioners import published
from pfedmma_dist.data.partitioners.deck import Deck

with np.load(Path(__file__).parents[2] / "golden" / "partitions.npz") as file:
    GOLDEN = dict(file)

SUPERCLASSES = (
    "4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7 6 13 15 3 15 0 11 1 10 12 14 16 9 11"
    " 5 5 19 8 8 15 13 14 17 18 10 16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 9 19 2 10 0 1 16"
    " 12 9 13 15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13"
)
"""Of the classes of CIFAR-100, in their order."""


def golden_deck(name: str, **more: object) -> Deck:
    return deck_of(
        *(GOLDEN[f"{name}{kind}_labels"].astype(int) for kind in ("train", "test")), **more
    )


def check(dealt: tuple[np.ndarray, np.ndarray], key: str) -> None:
    for kind, clients in zip(("train", "test"), dealt, strict=True):
        np.testing.assert_array_equal(clients, GOLDEN[f"{key}/{kind}_client"])


@pytest.mark.parametrize("beta, seed", [(0.3, 1), (0.3, 2), (1.0, 1)])
def test_label_shift_equals_the_published_code(beta, seed):
    dealt = published.dirichlet(golden_deck("c10/"), rules_of(5, seed, beta=beta))
    check(dealt, f"c10/labeldir_beta{beta}_seed{seed}_clients5")


def test_label_shift_on_cifar100_has_the_published_sizes():
    deck = golden_deck("c100/")
    train, test = published.dirichlet(deck, rules_of(100, seed=1, beta=0.1))
    classes = (counts(deck.train, train) > 0).sum(axis=1)
    found = np.stack([np.bincount(train), np.bincount(test), classes], axis=1)
    np.testing.assert_array_equal(found, GOLDEN["c100/labeldir_beta0.1_seed1_sizes_classes"])


def test_iid_equals_the_published_code():
    check(published.iid(golden_deck("c10/"), rules_of(5, seed=1)), "c10/homo_seed1_clients5")


def test_classes_equal_the_published_code():
    dealt = published.classes(golden_deck("c10/"), rules_of(5, seed=1, classes_per_client=2))
    check(dealt, "c10/noniid-labeluni_seed1_clients5")


def test_pachinko_equals_the_published_code():
    coarse = np.array(SUPERCLASSES.split(), int)
    dealt = published.pachinko(
        golden_deck("c100/", superclasses=coarse), rules_of(100, 1, beta=0.5)
    )
    check(dealt, "c100/labeldir100_beta0.5_shuffleseed1_clients100")


@pytest.mark.parametrize("beta", [0.3, 0.5])
@pytest.mark.parametrize(
    "domain, num_clients",
    [("office_caltech_10/amazon", 3), ("office_caltech_10/webcam", 3), ("DomainNet/clipart", 5)],
)
def test_domain_equals_the_published_code_whatever_the_seed(domain, num_clients, beta):
    for seed in (0, 7):
        rules = rules_of(num_clients, seed, (2,), beta=beta)
        dealt = published.domain_dirichlet(golden_deck(f"{domain}_"), rules)
        check(dealt, f"{domain}_beta{beta}_clients{num_clients}")


def test_global_generators_are_left_alone():
    def numbers() -> tuple[float, float]:
        return random.random(), np.random.random()

    random.seed(5), np.random.seed(5)
    expected = numbers()
    random.seed(5), np.random.seed(5)
    deck, rules = golden_deck("c10/", superclasses=np.arange(10) // 2), rules_of(5)
    for deal in published.LABEL_SHIFT.values():
        deal(deck, rules)
    published.domain_dirichlet(deck, rules)
    assert numbers() == expected


ENDLESS = {
    "too few images": (published.dirichlet, np.arange(60) % 3, 10, 0.5),
    "too skewed": (published.dirichlet, np.arange(400) % 4, 30, 0.05),
    "nobody has a share": (published.dirichlet, np.arange(400) % 4, 30, 1e-6),
    "domain too skewed": (published.domain_dirichlet, np.arange(40) % 2, 15, 0.05),
    "nobody has a share of a domain": (published.domain_dirichlet, np.arange(40) % 2, 2, 1e-6),
}


@pytest.mark.parametrize("deal, labels, num_clients, beta", ENDLESS.values(), ids=ENDLESS)
def test_division_that_would_be_drawn_for_ever_is_refused(
    deal, labels, num_clients, beta, monkeypatch
):
    monkeypatch.setattr(published, "DRAWS", 20)
    remedy = "set fewer clients, a larger data.beta, or data.compat=false"
    with pytest.raises(ValueError, match=f"data.compat: .*of {num_clients} clients.*{remedy}"):
        deal(deck_of(labels), rules_of(num_clients, beta=beta))


@pytest.mark.parametrize("beta", [1e-6, 1e-3])
def test_preference_too_strong_for_the_published_allocation_is_refused(beta):
    deck = golden_deck("c10/", superclasses=np.arange(10) // 2)
    with pytest.raises(ValueError, match="data.compat: at data.beta=.*set a larger data.beta, or"):
        published.pachinko(deck, rules_of(5, beta=beta))


@pytest.mark.parametrize("deal", [published.domain_dirichlet, published.classes, published.iid])
def test_deck_without_images_is_refused(deal):
    with pytest.raises(ValueError, match="data.num_clients: the table has 0 readable training"):
        deal(deck_of(np.empty(0, int)), rules_of(2))


def test_classes_that_do_not_come_out_even_are_refused():
    with pytest.raises(ValueError, match="data.classes_per_client: 4 clients of 2 .* of the 10"):
        published.classes(golden_deck("c10/"), rules_of(4, classes_per_client=2))


def test_share_of_no_whole_image_is_refused():
    with pytest.raises(ValueError, match="data.compat: .*without a training image"):
        published.classes(deck_of(np.zeros(3, int)), rules_of(3, classes_per_client=1))


def test_seed_beyond_the_legacy_generator_is_refused():
    with pytest.raises(ValueError, match="seed: 4294967296 .*set a seed below 4294967296"):
        published.iid(golden_deck("c10/"), rules_of(5, seed=2**32))
