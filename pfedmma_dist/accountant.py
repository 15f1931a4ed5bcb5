"""Accountant: what epsilon rounds of the sampled Gaussian mechanism come to.

Neighbours differ by one client that is there or not. Two ways are those of dp-accounting, an extra
that is imported when it is asked; the third is Renyi differential privacy of whole orders (Mironov,
Talwar and Zhang, 2019, eq. 3), turned into epsilon as Canonne, Kamath and Steinke do (NeurIPS 2020,
proposition 12): never below.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

ORDERS = (*range(2, 129), *range(136, 257, 8), *range(288, 1025, 32))
"""Whole orders of Renyi divergence that are tried."""

MOST_NOISE = 1024.0
"""Multiplier beyond which no noise is looked for."""

PLD_STEP = 1e-3
"""Grid of privacy losses, to which they are rounded up: ten times the library's own, whose epsilon
was 3e-6 of itself lower (measured at z = 0.74 and 0.89) and took ten times as long."""

CLOSE = 1e-4
"""How near the least noise is found, as a share of it."""


def epsilon(accountant: str, noise: float, rate: float, rounds: int, delta: float) -> float:
    """Return epsilon after so many rounds; 0 after none, infinite without noise.

    accountant: one of ACCOUNTANTS. noise: multiplier z. rate: chance q of a client to be drawn,
    each round by itself.
    """
    if not rounds:
        return 0.0
    if not noise:
        return math.inf
    return ACCOUNTANTS[accountant](noise, rate, rounds, delta)


@cache
def least_noise(accountant: str, target: float, rate: float, rounds: int, delta: float) -> float:
    """Return the least multiplier, to four decimals and rounded up, that keeps epsilon within
    `target`; infinite where it is beyond MOST_NOISE."""

    def holds(noise: float) -> bool:
        return epsilon(accountant, noise, rate, rounds, delta) <= target

    high = 1.0
    while not holds(high):
        high *= 2
        if high > MOST_NOISE:
            return math.inf
    low = high / 2
    while holds(low) and low > CLOSE:
        low, high = low / 2, low
    while high > low * (1 + CLOSE):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return math.ceil(high * 1e4) / 1e4


def _integer_rdp(noise: float, rate: float, rounds: int, delta: float) -> float:
    found = [
        rounds * _renyi(order, noise, rate)
        + math.log1p(-1 / order)
        - math.log(delta * order) / (order - 1)
        for order in ORDERS
    ]
    return max(min(found), 0.0)


def _renyi(order: int, noise: float, rate: float) -> float:
    """Return the Renyi divergence of a whole order of one round."""
    if rate >= 1:
        return order / (2 * noise**2)
    k = np.arange(order + 1)
    logs = np.array([math.lgamma(n + 1) for n in range(order + 1)])
    terms = logs[order] - logs[k] - logs[order - k] + (order - k) * math.log1p(-rate)
    terms += k * math.log(rate) + (k * k - k) / (2 * noise**2)
    top = terms.max()
    return float(top + np.log(np.exp(terms - top).sum())) / (order - 1)


def _rdp(noise: float, rate: float, rounds: int, delta: float) -> float:
    from dp_accounting.rdp import RdpAccountant

    return _composed(RdpAccountant(), noise, rate, rounds, delta)


def _pld(noise: float, rate: float, rounds: int, delta: float) -> float:
    from dp_accounting.pld import PLDAccountant

    return _composed(
        PLDAccountant(value_discretization_interval=PLD_STEP), noise, rate, rounds, delta
    )


def _composed(accountant: Any, noise: float, rate: float, rounds: int, delta: float) -> float:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    event = GaussianDpEvent(noise)
    if rate < 1:
        event = PoissonSampledDpEvent(rate, event)
    with _quiet():
        accountant.compose(SelfComposedDpEvent(event, rounds))
        return float(accountant.get_epsilon(delta))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let dp-accounting leave out orders without a word about each."""
    told = logging.getLogger("absl")
    level = told.level
    told.setLevel(logging.ERROR)
    try:
        yield
    finally:
        told.setLevel(level)


ACCOUNTANTS: dict[str, Callable[[float, float, int, float], float]] = {
    "rdp": _rdp,
    "pld": _pld,
    "integer_rdp": _integer_rdp,
}


def check(accountant: str) -> None:
    """Refuse an accountant whose library is not there."""
    try:
        ACCOUNTANTS[accountant](1.0, 1.0, 1, 0.1)
    except ImportError as error:
        raise ValueError(
            f"privacy.accountant: {accountant} is computed by dp-accounting, which is not there "
            f"({error}); pip install 'pfedmma_dist[dp]', or set privacy.accountant=integer_rdp"
        ) from error
