"""Robust: what a server that sees each upload of a round goes to in place of their mean.

A few uploads, wherever they are, move these centres little: the medians (Yin et al., ICML 2018, by
coordinates; Pillutla et al., IEEE TSP 2022, the geometric one) and the trimmed mean (Yin et al.)
hold while less than half, or `trim`, of the weight is theirs. Both weigh clients as the mean does,
by samples, and so does clipping (Sun et al., 2019), under which an upload may go where it likes but
not far. Rules that leave whole clients out count heads: `krum.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange.krum import bulyan, krum, multi_krum
from pfedmma_dist.world import from_fixed, one_thread, to_fixed

SORTED = 1_048_576
"""Numbers that are sorted at once, which bounds what is held beside the uploads."""

ITERATIONS, NEAREST = 100, 1e-6
"""Of Weiszfeld's rule, at most; the distance below which an upload is at the centre (Pillutla et
al.)."""

STILL = 1e-12
"""Weiszfeld's rule ends once a step is this small beside the mean distance. Of many numbers it
takes about ten steps."""


@dataclass(frozen=True)
class Guard:
    """How much a rule is to hold against."""

    trim: float = 0.1
    """Share of the weight that the trimmed mean leaves out at each end, below one half."""
    byzantine: int = 1
    """Uploads of a round that Krum's rules hold against: f."""
    bound: float | None = None
    """Longest move of an upload under clipping; None: the weighted median of the round's."""


@dataclass(frozen=True)
class Opening:
    """The uploads of a round, in the order of the clients' numbers."""

    rows: Tensor  # [n, S] float32
    weight: Tensor  # [n] int64, fixed point
    start: Tensor  # [S] float32, what clients started from


@dataclass(frozen=True)
class Centre:
    """Where a rule goes, and whom it leaves out on the way."""

    point: Tensor  # [S] float64
    dropped: Tensor | None = None  # [n] bool; None: the rule leaves nobody out as a whole


Rule = Callable[[Opening, Guard], Centre]


def median(rows: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted median of each coordinate [S] float64, of rows [n, S] float32.

    The smallest value at which half of the weight [n] int64 is reached; where it is half to the
    bit, midway to the next value, as the usual median of an even number.
    """
    return _by_column(rows, weight, _median)


def trimmed_mean(rows: Tensor, weight: Tensor, trim: float) -> Tensor:
    """Return the mean of each coordinate [S] float64 without the lowest and the highest `trim` of
    its weight; of an upload at the edge as much stays as fits."""
    low = int(trim * int(weight.sum()))
    return _by_column(rows, weight, lambda values, weights: _between(values, weights, low))


def _by_column(rows: Tensor, weight: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return what `of` makes of ascending values [s, n] and their weights [s, n], for all [S]."""
    columns = max(1, SORTED // len(rows))
    return torch.cat([of(*_ascending(part, weight)) for part in rows.split(columns, dim=1)])


def _ascending(rows: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return each column's values ascending [s, n], equal ones by client, with their weights.

    As whole numbers: the bits of a float32, in an order that integers share, before its place.
    numpy sorts these in a seventh of the time that torch takes for values with places.
    """
    bits = np.ascontiguousarray(rows.numpy().T).view(np.int32)
    bits = np.where(bits == np.int32(-(2**31)), np.int32(0), bits)  # -0 equals 0
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) << 32
    ordered |= np.arange(len(rows))
    ordered.sort(axis=1)
    places, found = ordered & 0xFFFFFFFF, (ordered >> 32).astype(np.int32)
    values = (found ^ ((found >> 31) & 0x7FFFFFFF)).view(np.float32)
    return torch.from_numpy(values), weight[torch.from_numpy(places)]


def _median(values: Tensor, weight: Tensor) -> Tensor:
    twice, half = 2 * weight.cumsum(dim=1), weight.sum(dim=1, keepdim=True)
    count = values.shape[1]
    rounding = count  # each weight is a whole number of 2^-48, half of one off at most
    low, high = (
        values.gather(1, torch.searchsorted(twice, half + off).clamp(max=count - 1))[:, 0]
        for off in (-rounding, rounding + 1)
    )
    return (low.double() + high.double()) / 2


def _between(values: Tensor, weight: Tensor, low: int) -> Tensor:
    """Return the mean of what lies behind the first `low` of the weight and before the last."""
    reached = weight.cumsum(dim=1)
    high = reached[:, -1:] - low
    kept = reached.clamp(max=high) - (reached - weight).clamp(min=low)
    kept = kept.clamp(min=0).double()
    return (kept * values.double()).sum(dim=1) / kept.sum(dim=1)


def geometric_median(rows: Tensor, weight: Tensor) -> Tensor:
    """Return the point [S] float64 with the least weighted distance from rows [n, S] (Weiszfeld):
    z = sum w_i / max(|z - r_i|, NEAREST) r_i, its weights divided by their sum; from the mean."""
    points, share = rows.double(), weight.double() / weight.sum()
    centre = share @ points
    for _ in range(ITERATIONS):
        far = (points - centre).norm(dim=1).clamp(min=NEAREST)
        pull = share / far
        before, centre = centre, (pull / pull.sum()) @ points
        if bool((centre - before).norm() <= STILL * (share @ far)):
            break
    return centre


def clipped_mean(opening: Opening, bound: float | None) -> Tensor:
    """Return where moves of length `bound` at most lead on average [S] float64: the start plus
    sum w_i min(1, bound / |r_i - start|) (r_i - start)."""
    start = opening.start.double()
    moves = opening.rows.double() - start
    length = moves.norm(dim=1)
    if bound is None:
        bound = float(median(length.float()[:, None], opening.weight))
    share = opening.weight.double() / opening.weight.sum()
    return start + (share * (bound / length.clamp(min=1e-300)).clamp(max=1.0)) @ moves


def mean_of(rows: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of rows [S] float64, by exact sums, as `Average` forms it."""
    return from_fixed(to_fixed(rows.double() * from_fixed(weight)[:, None]).sum(dim=0))


CENTRES: dict[str, Rule] = {
    "median": lambda found, guard: Centre(median(found.rows, found.weight)),
    "trimmed_mean": lambda found, guard: Centre(trimmed_mean(found.rows, found.weight, guard.trim)),
    "geometric_median": lambda found, guard: Centre(geometric_median(found.rows, found.weight)),
    "norm_clipping": lambda found, guard: Centre(clipped_mean(found, guard.bound)),
    "krum": lambda found, guard: Centre(*krum(found.rows, guard.byzantine)),
    "multi_krum": lambda found, guard: Centre(
        *multi_krum(found.rows, found.weight, guard.byzantine)
    ),
    "bulyan": lambda found, guard: Centre(*bulyan(found.rows, guard.byzantine)),
}
"""By the name of the rule."""

FEWEST: dict[str, tuple[int, int]] = {"krum": (2, 3), "multi_krum": (2, 3), "bulyan": (4, 3)}
"""Rules that hold against f uploads of a f + b at least -> (a, b)."""


def centre(name: str, opening: Opening, guard: Guard) -> Centre:
    """Return where a rule goes, by one thread: how many there are shall reach no bit."""
    with one_thread():
        return CENTRES[name](opening, guard)
