"""Robust centres: what a server may take in place of the mean of uploads that it sees.

A few uploads, wherever they are, move a median little (Yin et al., ICML 2018, by coordinates;
Pillutla et al., IEEE TSP 2022, the geometric one). Both weigh clients as the mean does, by samples.
"""

from collections.abc import Callable

import torch
from torch import Tensor

COLUMNS = 65_536
"""Coordinates that are sorted at once, which bounds what is held beside the uploads."""

ITERATIONS, NEAREST = 100, 1e-6
"""Of Weiszfeld's rule; the distance below which an upload is at the centre (Pillutla et al.)."""


def median(rows: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted median of each coordinate [S] float64, of rows [n, S] float32.

    The smallest value at which half of the weight [n] int64 is reached; where it is half to the
    bit, midway to the next value, as the usual median of an even number.
    """
    parts = [_median(part, weight) for part in rows.split(COLUMNS, dim=1)]
    return torch.cat(parts) if parts else rows[0].double()


def _median(rows: Tensor, weight: Tensor) -> Tensor:
    values, order = rows.sort(dim=0)
    twice, half = 2 * weight[order].cumsum(dim=0), weight.sum()
    rounding = len(rows)  # each weight is a whole number of 2^-48, half of one off at most
    low, high = (
        values.gather(0, (twice < half + off).sum(dim=0)[None].clamp(max=len(rows) - 1))[0]
        for off in (-rounding, rounding + 1)
    )
    return (low.double() + high.double()) / 2


def geometric_median(rows: Tensor, weight: Tensor) -> Tensor:
    """Return the point [S] float64 with the least weighted distance from rows [n, S] (Weiszfeld):
    z = sum w_i / max(|z - r_i|, NEAREST) r_i, its weights divided by their sum; from the mean."""
    points, share = rows.double(), weight.double() / weight.sum()
    centre = share @ points
    for _ in range(ITERATIONS):
        pull = share / (points - centre).norm(dim=1).clamp(min=NEAREST)
        centre = (pull / pull.sum()) @ points
    return centre


CENTRES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "median": median,
    "geometric_median": geometric_median,
}
"""(rows [n, S] float32, weight [n] int64) -> centre [S] float64, by the name of the rule."""
