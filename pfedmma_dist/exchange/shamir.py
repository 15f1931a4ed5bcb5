"""Shamir's shares: a secret that any t of n holders can put together, and fewer know nothing of.

Shamir, How to share a secret, CACM 1979: values at x = 1 .. n of a polynomial of degree t - 1 whose
value at 0 is the secret, in the field of the prime PRIME.
"""

from collections.abc import Sequence

PRIME = 2**127 - 1
"""Of the field; secrets and shares are below it, 16 bytes each."""


def share(secret: int, others: Sequence[int], at: Sequence[int]) -> list[int]:
    """Return the shares for the holders numbered `at`, from 1.

    others: the polynomial's t - 1 further coefficients, to be drawn at random below PRIME.
    """
    found = []
    for x in at:
        value = 0
        for coefficient in (*reversed(others), secret):
            value = (value * x + coefficient) % PRIME
        found.append(value)
    return found


def weights(at: Sequence[int]) -> list[int]:
    """Return what the shares of these holders weigh in the value at 0 (Lagrange)."""
    found = []
    for one in at:
        above, below = 1, 1
        for other in at:
            if other != one:
                above, below = above * other % PRIME, below * (other - one) % PRIME
        found.append(above * pow(below, -1, PRIME) % PRIME)
    return found
