"""Turn the scores of many clients into the few numbers a person compares."""

from collections.abc import Iterable, Mapping

import numpy as np

HARMONIC = {"hm": ("local", "base", "novel"), "hm_base_novel": ("base", "novel")}
"""Harmonic means over scopes: the paper's three-way one, and the two-way one of prompt learning."""


def summary(scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return `<scope>_mean`, `_worst_decile` and `_std` of each scope, and the harmonic means.

    scores: scope -> accuracy of each client [K] in percent, nan where a client was not scored. The
    worst decile is the mean of the lowest tenth of the clients, one client at least; the deviation
    is that of the clients themselves (divided by K). Harmonic means are taken over scope means and
    are zero where one of them is. Scopes nobody was scored on have no key.
    """
    result: dict[str, float] = {}
    for scope, values in scores.items():
        ascending = np.sort(values[~np.isnan(values)])
        if len(ascending):
            result[f"{scope}_mean"] = float(ascending.mean())
            result[f"{scope}_worst_decile"] = float(
                ascending[: max(1, len(ascending) // 10)].mean()
            )
            result[f"{scope}_std"] = float(ascending.std())
    for name, scopes in HARMONIC.items():
        if all(f"{scope}_mean" in result for scope in scopes):
            result[name] = harmonic_mean(result[f"{scope}_mean"] for scope in scopes)
    return result


def harmonic_mean(values: Iterable[float]) -> float:
    """Return n / (1/v1 + ... + 1/vn), zero where a value is zero."""
    numbers = list(values)
    return 0.0 if 0.0 in numbers else len(numbers) / sum(1.0 / number for number in numbers)
