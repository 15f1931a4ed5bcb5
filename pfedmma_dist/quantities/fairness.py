"""Fairness: how evenly a score is spread over the clients that have one."""

import numpy as np


def ascending(values: np.ndarray) -> np.ndarray:
    """Return the scores of the clients that were scored, the lowest first."""
    return np.sort(values[~np.isnan(values)])


def worst_decile(values: np.ndarray) -> float:
    """Return the mean of the lowest tenth of the clients, one client at least."""
    lowest = ascending(values)
    return float(lowest[: max(1, len(lowest) // 10)].mean())


def deviation(values: np.ndarray) -> float:
    """Return the standard deviation of the clients themselves (divided by K)."""
    return float(ascending(values).std())


def jain(values: np.ndarray) -> float:
    """Return (sum x)^2 / (K sum x^2) (Jain et al., 1984): 1 where all fare alike, 1 / K where one
    has everything; 1 where nobody has anything."""
    known = ascending(values)
    squares = float(np.square(known).sum())
    return float(known.sum()) ** 2 / (len(known) * squares) if squares else 1.0


def gini(values: np.ndarray) -> float:
    """Return the mean distance between two clients over twice their mean: 0 where all fare alike,
    1 - 1 / K where one has everything; 0 where nobody has anything."""
    known = ascending(values)
    total, places = float(known.sum()), np.arange(1, len(known) + 1)
    if not total:
        return 0.0
    return float((2 * places - len(known) - 1) @ known) / (len(known) * total)


SPREADS = (worst_decile, deviation, jain, gini)
"""What says nothing of a single client."""
