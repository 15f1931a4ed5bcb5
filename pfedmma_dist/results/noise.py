"""Noise: what the differences of pairs can tell, and what they cannot."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from pfedmma_dist.quantities.student import t_quantile

SAME = 1e-6
"""Percent; a difference below is rounding: it is none of an image out of a hundred million."""


def interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of the mean of the differences; None of fewer than two.

    Student's t, for pairs that are independent of each other.
    """
    num = len(differences)
    if num < 2:
        return None
    mean, half = fmean(differences), t_quantile(num - 1) * stdev(differences) / sqrt(num)
    return mean - half, mean + half


def signs(differences: Sequence[float]) -> tuple[int, int, int]:
    """Return how many differences are above zero, below it, and none but for rounding."""
    above = sum(value > SAME for value in differences)
    below = sum(value < -SAME for value in differences)
    return above, below, len(differences) - above - below


def sign_test(above: int, below: int) -> float:
    """Return how often chance alone would divide the signs so unevenly, to either side: exactly.

    Pairs that are equal have no sign, and are left out as usual. Without any the answer is 1.
    """
    num = above + below
    term = tail = 1  # comb(num, 0); one after the other, for there may be 100,000
    for k in range(min(above, below)):
        term = term * (num - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**num)


def is_above(one: Mapping[Any, float], other: Mapping[Any, float]) -> bool:
    """Whether the numbers are above those of the same keys by more than noise.

    That is, the 95 % interval of the differences of the pairs lies above zero.
    """
    found = interval([one[key] - other[key] for key in one if key in other])
    return found is not None and found[0] > SAME
