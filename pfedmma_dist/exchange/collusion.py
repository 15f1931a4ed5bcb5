"""Collusion: attackers that know all honest uploads of a round and send one row among them.

They see what reaches the server, stages of the uplink included, and what they send goes through no
stage: who means harm neither clips nor adds noise. Honest means and deviations count heads, as in
the papers. Where no honest client takes part in a round, they send what they have trained.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange.attack import bounded
from pfedmma_dist.exchange.gathered import Opened
from pfedmma_dist.exchange.uplink import Stage
from pfedmma_dist.world import one_thread


@dataclass(frozen=True)
class Known:
    """What attackers know of a round."""

    honest: Tensor  # [h, S] float64, of the others
    start: Tensor  # [S] float64, what all started from
    num_attackers: int  # of this round

    @property
    def mean(self) -> Tensor:
        """Return the mean honest row [S]."""
        return self.honest.mean(dim=0)

    @property
    def deviation(self) -> Tensor:
        """Return the standard deviation of honest rows [S], divided by their number."""
        return self.honest.std(dim=0, correction=0)


def alie(known: Known, scale: float | None) -> Tensor:
    """Return mean - z deviation (Baruch et al., NeurIPS 2019, algorithm 3).

    scale: z. None: the largest z with Phi(z) < (n - m - s) / (n - m), s = floor(n / 2 + 1) - m, for
    n clients of which m attack, s one at least.
    """
    num_honest = len(known.honest)
    needed = max((num_honest + known.num_attackers) // 2 + 1 - known.num_attackers, 1)
    share = torch.tensor((num_honest - needed) / num_honest, dtype=torch.float64)
    z = float(torch.special.ndtri(share)) if scale is None else scale
    return known.mean - (z if abs(z) < float("inf") else 0.0) * known.deviation


def ipm(known: Known, scale: float | None) -> Tensor:
    """Return the start minus `scale` (0.5) times the mean honest move (Xie et al., UAI 2019)."""
    return known.start - (0.5 if scale is None else scale) * (known.mean - known.start)


def min_max(known: Known, scale: float | None) -> Tensor:
    """Return the row farthest from the honest mean, against their deviation, that is no farther
    from any honest row than two of these are from each other (Shejwalkar and Houmansadr, NDSS 2021,
    where a search finds the length: here it is solved for).

    |mean + g p - r_i|^2 <= D^2 for all i, with p = -deviation.
    """
    mean, way = known.mean, -known.deviation
    square = float(way @ way)
    if not square:
        return mean
    widest = max(float((known.honest - row).square().sum(dim=1).max()) for row in known.honest)
    offsets = mean - known.honest  # [h, S]
    half, rest = offsets @ way, offsets.square().sum(dim=1) - widest
    longest = (-half + (half.square() - square * rest).clamp(min=0).sqrt()) / square
    return mean + float(longest.min()) * way


ROWS: dict[str, Callable[[Known, float | None], Tensor]] = {
    "alie": alie,
    "ipm": ipm,
    "min_max": min_max,
}
"""(what they know, attack.scale or None) -> what all attackers send [S] float64, by the name of the
attack."""


class Collusion(Stage):
    """All attackers of a round send the same row."""

    def __init__(self, name: str, scale: float | None, attackers: np.ndarray) -> None:
        """attackers: [A] clients, of all rounds."""
        self.row, self.scale, self.attackers = ROWS[name], scale, attackers

    def meddle(self, opened: Opened, start: Tensor) -> Opened:
        """Return the uploads with those of attackers replaced; start: [S] float32."""
        bad = torch.from_numpy(np.isin(opened.clients, self.attackers))
        if not bool(bad.any()) or bool(bad.all()):
            return opened
        with one_thread():
            known = Known(opened.rows[~bad].double(), start.double(), int(bad.sum()))
            row = bounded(self.row(known, self.scale))
        return replace(opened, rows=torch.where(bad[:, None], row, opened.rows))
