"""Turn the scores of many clients into the few numbers a person compares."""

from collections.abc import Iterable, Mapping

import numpy as np

OWN = "local"
"""The scope of a client's own test images, which every task has."""

HARMONIC = {"hm": ("local", "base", "novel"), "hm_base_novel": ("base", "novel")}
"""Harmonic means over scopes: the paper's three-way one, and the two-way one of prompt learning."""

DOMAIN = "domain_"
"""Prefix of a domain's key."""


def summary(
    scores: Mapping[str, np.ndarray], domains: Mapping[str, np.ndarray] | None = None
) -> dict[str, float]:
    """Return `<scope>_mean`, `_worst_decile` and `_std` of each scope, and what combines them.

    scores: scope -> accuracy of each client [K] in percent, nan where a client was not scored. The
    worst decile is the mean of the lowest tenth of the clients, one client at least; the deviation
    is that of the clients themselves (divided by K). Harmonic means are taken over scope means and
    are zero where one of them is. domains: name -> its clients, for `domain_<name>_mean`, the mean
    of their own test images' scores. What nobody was scored on has no key.
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
    for name, clients in (domains or {}).items():
        values = scores[OWN][clients] if OWN in scores else np.empty(0)
        if not np.isnan(values).all():
            result[f"{DOMAIN}{name}_mean"] = float(np.nanmean(values))
    for name, scopes in HARMONIC.items():
        if all(f"{scope}_mean" in result for scope in scopes):
            result[name] = harmonic_mean(result[f"{scope}_mean"] for scope in scopes)
    return result


def heading(scope: str) -> str:
    """Return a scope's name as it stands in figures and tables."""
    return scope.replace("_", " ").capitalize()


def harmonic_mean(values: Iterable[float]) -> float:
    """Return n / (1/v1 + ... + 1/vn), zero where a value is zero."""
    numbers = list(values)
    return 0.0 if 0.0 in numbers else len(numbers) / sum(1.0 / number for number in numbers)
