"""Fixed-point numbers: what is averaged is summed as int64.

Adding int64 is associative, so neither the number of ranks nor the order of the clients can reach a
bit of the result.
"""

import torch
from torch import Tensor

FRACTION_BITS = 48
"""Bits after the point of a fixed-point number: steps of 3.6e-15, values within +-32,768."""

SCALE = float(2**FRACTION_BITS)
LIMIT = float(2 ** (63 - FRACTION_BITS))


def to_fixed(x: Tensor) -> Tensor:
    """Round float64 `x` to int64 fixed point. Values of 32,768 and more, or not finite, raise."""
    if not bool((x.abs() < LIMIT).all()):  # also False for nan
        raise ValueError(f"a number to be averaged is not finite or not below {LIMIT:g}")
    return (x.double() * SCALE).round().to(torch.int64)


def from_fixed(x: Tensor) -> Tensor:
    """Return the float64 value of int64 fixed point `x`."""
    return x.double() / SCALE
