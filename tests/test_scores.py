"""Means, worst decile, spread and harmonic means, by hand."""

import numpy as np
import pytest

from pfedmma_dist.quantities.fairness import gini, jain
from pfedmma_dist.quantities.means import harmonic_mean
from pfedmma_dist.quantities.quantity import heading
from pfedmma_dist.quantities.scores import summary


def test_numbers_of_four_clients_by_hand() -> None:
    result = summary({"local": np.array([90.0, 100.0, 80.0, 90.0])})
    assert result == {
        "local_mean": 90.0,
        "local_worst_decile": 80.0,
        "local_std": pytest.approx(50**0.5),
        "local_jain": pytest.approx(360**2 / (4 * 32_600)),
        "local_gini": pytest.approx(120 / (2 * 16 * 90)),  # of 16 pairs, 120 points apart together
    }


def test_worst_decile_is_the_mean_of_the_lowest_tenth() -> None:
    assert summary({"local": np.arange(29.0, -1.0, -1.0)})["local_worst_decile"] == 1.0


def test_harmonic_means_by_hand() -> None:
    scores = {"local": np.array([60.0]), "base": np.array([30.0]), "novel": np.array([20.0])}
    result = summary(scores)
    assert result["hm"] == pytest.approx(30.0)  # 3 / (1/60 + 2/60 + 3/60)
    assert result["hm_base_novel"] == pytest.approx(24.0)  # 2 / (2/60 + 3/60)


def test_harmonic_mean_is_of_the_means_and_not_the_mean_of_harmonic_means() -> None:
    scores = {"base": np.array([20.0, 40.0]), "novel": np.array([80.0, 40.0])}
    assert summary(scores)["hm_base_novel"] == pytest.approx(40.0)  # of 30 and 60


def test_zero_mean_makes_the_harmonic_mean_zero() -> None:
    assert harmonic_mean([0.0, 90.0]) == 0.0


def test_clients_that_were_not_scored_do_not_count() -> None:
    assert summary({"local": np.array([np.nan, 70.0])})["local_mean"] == 70.0


def test_absent_scope_has_no_key() -> None:
    assert summary({"local": np.array([np.nan])}) == {}
    assert "hm" not in summary({"local": np.array([1.0]), "base": np.array([1.0])})


def test_domain_means_are_of_the_own_scores_of_its_clients() -> None:
    scores = {"local": np.array([60.0, 80.0, np.nan, 30.0]), "global": np.full(4, 1.0)}
    result = summary(scores, {"photo": np.array([0, 1]), "sketch": np.array([2, 3])})
    assert result["domain_photo_mean"] == 70.0
    assert result["domain_sketch_mean"] == 30.0  # of the one that was scored
    assert result["local_mean"] == pytest.approx(170 / 3)


def test_domain_nobody_was_scored_on_has_no_key() -> None:
    domains = {"photo": np.array([0])}
    assert summary({"local": np.array([np.nan, 1.0])}, domains).keys() == {
        "local_mean",
        "local_worst_decile",
        "local_std",
        "local_jain",
        "local_gini",
    }
    assert summary({}, domains) == {}


def test_clients_are_alike_where_all_or_none_have_something() -> None:
    for equal in (np.full(5, 40.0), np.zeros(3), np.array([7.0])):
        assert (jain(equal), gini(equal)) == (pytest.approx(1.0), pytest.approx(0.0))
    one = np.array([0.0, 0.0, np.nan, 30.0, 0.0])
    assert (jain(one), gini(one)) == (pytest.approx(1 / 4), pytest.approx(3 / 4))


def test_headings_are_words() -> None:
    assert [heading("local"), heading("left_out")] == ["Local", "Left out"]
