"""Discrete Gaussian noise: whole numbers, drawn exactly, by integers alone.

Canonne, Kamath and Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020,
algorithms 1 to 3. No rounding of a floating-point number makes one outcome likelier than another,
which is how noise of floats has been undone (Mironov, CCS 2012).
"""

from collections.abc import Callable

import numpy as np

LARGEST = 2**25
"""Deviation up to which every number on the way is below 2^63: one of 96 deviations would be drawn
once in e^96."""


def discrete_gaussian(rng: np.random.Generator, deviation: int, size: int) -> np.ndarray:
    """Return whole numbers [size] int64, each y with a chance that goes as exp(-y^2 / (2
    deviation^2)). deviation: 1 to LARGEST."""
    assert 1 <= deviation <= LARGEST

    def draw(count: int) -> np.ndarray:
        found = _laplace(rng, deviation, count)
        top, bottom = (np.abs(found) - deviation) ** 2, 2 * deviation**2
        whole, rest = np.divmod(top, bottom)
        return found[(_geometric(rng, count) >= whole) & _happens(rng, rest, bottom)]

    return _filled(draw, size)


def _laplace(rng: np.random.Generator, scale: int, size: int) -> np.ndarray:
    """Return whole numbers [size] int64, each y with a chance that goes as exp(-|y| / scale)."""

    def draw(count: int) -> np.ndarray:
        low = rng.integers(0, scale, count)
        low = low[_happens(rng, low, scale)]
        found = low + scale * _geometric(rng, len(low))
        negative = rng.integers(0, 2, len(low)) == 1
        return np.where(negative, -found, found)[~negative | (found > 0)]

    return _filled(draw, size)


def _geometric(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return how often in a row [size] something of chance 1/e happens."""
    found, going = np.zeros(size, np.int64), np.arange(size)
    while len(going):
        going = going[_happens(rng, np.ones(len(going), np.int64), 1)]
        found[going] += 1
    return found


def _happens(rng: np.random.Generator, top: np.ndarray, bottom: int) -> np.ndarray:
    """Return whether something of chance exp(-top / bottom) happens [n] bool; 0 <= top <=
    bottom."""
    odd, going, turn = np.zeros(len(top), bool), np.arange(len(top)), 1
    while len(going):
        odd[going] = turn % 2 == 1
        going = going[rng.integers(0, bottom * turn, len(going)) < top[going]]
        turn += 1
    return odd


def _filled(draw: Callable[[int], np.ndarray], size: int) -> np.ndarray:
    """Return the first numbers [size] of as many draws as it takes; draw: count -> those kept."""
    found = [np.zeros(0, np.int64)]
    while (missing := size - sum(map(len, found))) > 0:
        found.append(draw(2 * missing + 16)[:missing])
    return np.concatenate(found)
