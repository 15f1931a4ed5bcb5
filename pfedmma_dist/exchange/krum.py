"""Krum: rules that look which uploads lie close to many others, and leave the rest out.

All count heads: an upload of many samples is worth no more than one of few, since a bound on how
many are bad says nothing about their samples. Only the mean over those that Multi-Krum keeps is
weighted. Two whose nearest is each other are equally close to one neighbour; then the distance to
all decides, and only where that is equal too, as of copies, the client's number.
"""

import torch
from torch import Tensor


def krum(rows: Tensor, byzantine: int) -> tuple[Tensor, Tensor]:
    """Return the one upload [S] float64 of rows [n, S] that is nearest to its n - f - 2 neighbours
    by squared distance (Blanchard et al., NeurIPS 2017), and which were left out [n] bool."""
    chosen = by_closeness(squared_distances(rows), byzantine)[0]
    dropped = torch.ones(len(rows), dtype=torch.bool)
    dropped[chosen] = False
    return rows[chosen].double(), dropped


def multi_krum(rows: Tensor, weight: Tensor, byzantine: int) -> tuple[Tensor, Tensor]:
    """Return the weighted mean of the n - f uploads of the least such sums (Blanchard et al., with
    their m as large as it may be), and which f were left out. weight: [n] int64."""
    order = by_closeness(squared_distances(rows), byzantine)
    kept = order[: len(rows) - byzantine].sort().values
    share = weight[kept].double() / weight[kept].sum()
    dropped = torch.ones(len(rows), dtype=torch.bool)
    dropped[kept] = False
    return share @ rows[kept].double(), dropped


def bulyan(rows: Tensor, byzantine: int) -> tuple[Tensor, Tensor]:
    """Return Bulyan's centre (El Mhamdi et al., ICML 2018), and which uploads were left out.

    Krum chooses t = n - 2 f uploads one by one, each among those that are left; of each coordinate
    the t - 2 f values nearest to the median of the chosen are averaged.
    """
    count, distances = len(rows), squared_distances(rows)
    order = distances.sort(dim=1, stable=True).indices  # [n, n], nearest first
    nearest, left = distances.gather(1, order), torch.ones(count, dtype=torch.bool)
    for taken in range(count - 2 * byzantine):
        close = max(count - taken - byzantine - 2, 1)
        there = left[order]
        there &= there.cumsum(dim=1) <= close + 1  # one is the upload itself
        sums = torch.where(there, nearest, 0.0).sum(dim=1)
        totals = distances[:, left].sum(dim=1)
        left[ordered(sums.masked_fill(~left, torch.inf), totals)[0]] = False
    chosen = rows[~left].double().sort(dim=0).values
    middle = (chosen[(len(chosen) - 1) // 2] + chosen[len(chosen) // 2]) / 2
    away = (chosen - middle).abs().sort(dim=0, stable=True).indices
    near = away[: len(chosen) - 2 * byzantine].sort(dim=0).values
    return chosen.gather(0, near).mean(dim=0), left


def squared_distances(rows: Tensor) -> Tensor:
    """Return the squared distances between rows [n, n] float64, 0 of a row from itself."""
    points = rows.double()
    points = points - points.mean(dim=0)  # less is cancelled
    products = points @ points.mT
    twice, lengths = products + products.mT, products.diagonal()  # symmetric to the bit
    return (lengths[:, None] + lengths - twice).clamp(min=0).fill_diagonal_(0.0)


def by_closeness(distances: Tensor, byzantine: int) -> Tensor:
    """Return the places of uploads [n] by the sum of their n - f - 2 least distances from others,
    that of the least sum first."""
    near = distances.sort(dim=1).values  # [n, n], itself first
    sums = near[:, 1 : len(distances) - byzantine - 1].sum(dim=1)
    return ordered(sums, near.sum(dim=1))


def ordered(sums: Tensor, totals: Tensor) -> Tensor:
    """Return places [n] by their sums, ascending, equal ones by their totals."""
    order = totals.sort(stable=True).indices
    return order[sums[order].sort(stable=True).indices]
