"""Intervals and sign tests are those of scipy, and say nothing where nothing can be said."""

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t, ttest_rel

from pfedmma_dist.results.noise import interval, is_above, sign_test, signs, t_quantile


@pytest.mark.parametrize("freedom", [*range(1, 60), 100, 999, 50_000])
def test_quantile_is_students(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(t.ppf(0.975, freedom), abs=6e-7)


percents = st.integers(0, 10_000).map(lambda value: value / 100)


@given(st.lists(st.tuples(percents, percents), min_size=2, max_size=60))
@settings(max_examples=50, deadline=None)
def test_interval_is_that_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    ones, others = zip(*pairs, strict=True)
    found = interval([one - other for one, other in pairs])
    if len({round(one - other, 6) for one, other in pairs}) == 1:
        assert found == pytest.approx([ones[0] - others[0]] * 2)  # scipy has none
        return
    wanted = ttest_rel(ones, others).confidence_interval(0.95)
    assert found == pytest.approx((wanted.low, wanted.high), abs=1e-4, rel=1e-6)


def test_single_pair_has_no_interval() -> None:
    assert interval([3.0]) is None
    assert interval([]) is None


@given(st.integers(0, 80), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_sign_test_is_the_exact_binomial_test(above: int, below: int) -> None:
    num = above + below
    slow = min(1.0, 2 * sum(comb(num, k) for k in range(min(above, below) + 1)) / 2**num)
    assert sign_test(above, below) == slow
    if num:
        assert slow == pytest.approx(binomtest(above, num).pvalue, rel=1e-9)


def test_sign_test_knows_many_clients() -> None:
    assert sign_test(10_300, 9_700) == pytest.approx(binomtest(10_300, 20_000).pvalue, rel=1e-6)
    assert sign_test(5_000, 0) == 0.0  # less than any float


def test_differences_of_rounding_are_none() -> None:
    assert signs([1.0, 1e-9, -1e-9, 0.0, -2.0, 0.01]) == (2, 1, 3)


def test_above_is_judged_by_shared_keys_alone() -> None:
    assert is_above({1: 5.0, 2: 6.0, 3: 0.0}, {1: 4.0, 2: 5.0})
    assert not is_above({1: 4.0, 2: 5.0}, {1: 5.0, 2: 6.0})
    assert not is_above({1: 5.0, 2: 50.0}, {1: 4.0, 2: 5.0})  # 1 and 45 above: 23 ± 280
    assert not is_above({1: 5.0, 2: 6.0}, {1: 4.0, 3: 5.0})
    assert not is_above({1: 5.0 + 1e-12, 2: 5.0 + 1e-12}, {1: 5.0, 2: 5.0})
