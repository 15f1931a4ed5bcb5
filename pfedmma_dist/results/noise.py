"""Noise: what the differences of pairs can tell, and what they cannot."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

NORMAL = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

STUDENT = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912,
    2.364624, 2.306004, 2.262157, 2.228139, 2.200985, 2.178813,
    2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922,
    2.093024, 2.085963, 2.079614, 2.073873, 2.068658, 2.063899,
    2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip
"""97.5 % quantiles of Student's t at 1, 2, ... degrees of freedom: the column 0.975 of the table in
the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, to more digits."""

SAME = 1e-6
"""Percent; a difference below is rounding: it is none of an image out of a hundred million."""


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t at so many degrees of freedom.

    Beyond the table by the expansion of Abramowitz and Stegun, 26.7.5.
    """
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z, n = NORMAL, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )


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
