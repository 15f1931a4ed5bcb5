"""Means: one number of the scores of many clients, or of several such means."""

from collections.abc import Iterable

import numpy as np

from pfedmma_dist.quantities.fairness import ascending


def mean(values: np.ndarray) -> float:
    """Return the mean over the clients that were scored."""
    return float(ascending(values).mean())


def mean_in_domain(values: np.ndarray) -> float:
    """Return the mean over a domain's clients that were scored."""
    return float(np.nanmean(values))


def harmonic_mean(values: Iterable[float]) -> float:
    """Return n / (1/v1 + ... + 1/vn), zero where a value is zero."""
    numbers = list(values)
    return 0.0 if 0.0 in numbers else len(numbers) / sum(1.0 / number for number in numbers)


def harmonic_mean_of_means(*scopes: np.ndarray) -> float:
    """Return the harmonic mean of the scopes' means, not the mean of clients' harmonic means."""
    return harmonic_mean(map(mean, scopes))


def harmonic_mean_in_domain(*scopes: np.ndarray) -> float:
    """Return the harmonic mean of the scopes' means over a domain's clients."""
    return harmonic_mean(map(mean_in_domain, scopes))
