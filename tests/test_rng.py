"""Random numbers are a function of their words."""

import numpy as np
import pytest

from pfedmma_dist.rng import generator

WORDS = (1, "shuffle", 2, 3)


def draws(*words: object) -> list[int]:
    return generator(*words).integers(0, 2**63, 4).tolist()


def test_equal_words_give_equal_numbers() -> None:
    assert draws(*WORDS) == draws(*WORDS)


@pytest.mark.parametrize(
    "others",
    [
        (2, "shuffle", 2, 3),
        (1, "views", 2, 3),
        (1, "shuffle", 3, 2),
        (1, "shuffle", 2),
        (1, "shuffle", 2, 3, 0),
        (1, "shuffle", 23),
        (12, "shuffle", 3),
    ],
    ids=str,
)
def test_other_words_give_other_numbers(others: tuple) -> None:
    assert not set(draws(*WORDS)) & set(draws(*others))


def test_keys_may_be_integers_of_numpy() -> None:
    assert draws(1, "shuffle", np.int64(2), np.int32(3)) == draws(*WORDS)


def test_drawing_elsewhere_changes_nothing() -> None:
    expected = draws(*WORDS)
    generator(*WORDS).random(100)
    np.random.seed(0)  # noqa: NPY002
    assert draws(*WORDS) == expected


def test_stream_is_the_one_that_earlier_results_were_drawn_from() -> None:
    raw = generator(1, "shuffle", 2, 3).bit_generator.random_raw(2).tolist()
    assert raw == [17160417619467025868, 14465847094873728836]
