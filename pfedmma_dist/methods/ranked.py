"""Ranked: low-rank factors A [r, in] and B [out, r] of clients that have a rank each.

Each client holds the first r_k directions of the r in its row; the others are zeros and rest. With
w_k the weights of a round's clients, and B_k A_k padded by zeros, the server keeps

    norm    A = sum p_k A_k and B = sum p_k B_k, p_k = |B_k A_k| / sum |B_k A_k|    (HetLoRA)
    svd     B = U S and A = V', from the first r singular values of sum w_k B_k A_k (FlexLoRA)

for each matrix of the towers by itself, in Frobenius norms. With `norm`, where all products are
zero the weights are w_k. HetLoRA's own pruning of a client's rank is left out. With `svd`, the
first r_k directions make the nearest matrix of rank r_k; those beyond the rank of the sum have B =
0, and some unit vector as A.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pfedmma_dist.exchange.ranks import FactorRule
from pfedmma_dist.methods.singular import nearest_factors, one_thread
from pfedmma_dist.params import Layout, ParamSpec


def directions(layout: Layout) -> Tensor:
    """Return to which direction of its term each number of a shared row belongs [S] int64."""
    row = torch.zeros(1, layout.num_shared, dtype=torch.int64)
    for name, part in layout.views(row).items():  # views: they move the row
        part.copy_(_along(name, torch.arange(part.shape[1 if _is_down(name) else 2])))
    return row[0]


def padding(specs: tuple[ParamSpec, ...], ranks: Tensor) -> dict[str, Tensor]:
    """Return, by name, which numbers [G, *shape] bool lie beyond a client's rank [G]."""
    found = {}
    for spec in specs:
        rank = spec.shape[0 if _is_down(spec.name) else 1]
        beyond = torch.arange(rank) >= ranks[:, None]  # [G, r]
        found[spec.name] = _along(spec.name, beyond).expand(-1, *spec.shape)
    return found


def by_norm(layout: Layout) -> FactorRule:
    """Return HetLoRA's rule: means weighted by the norms of the clients' products."""

    def share(up: Tensor, down: Tensor, weight: Tensor) -> Tensor:
        square = ((up.mT @ up) * (down @ down.mT)).sum(dim=(1, 2))  # |up down|^2, without building
        norms = square.clamp(min=0).sqrt()
        own = norms if bool(norms.any()) else weight
        return (own / own.sum())[:, None, None]

    def mean(up: Tensor, down: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        p = share(up, down, weight)
        return (p * up).sum(dim=0), (p * down).sum(dim=0)

    return _by_term(layout, mean)


def by_svd(layout: Layout) -> FactorRule:
    """Return FlexLoRA's rule: the mean product, decomposed."""

    def nearest(up: Tensor, down: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        stacked = (weight[:, None, None] * up).transpose(0, 1).flatten(1)  # [out, n r]
        return nearest_factors(stacked, down.flatten(0, 1), down.shape[1])

    return _by_term(layout, nearest)


def _by_term(
    layout: Layout, pair: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
) -> FactorRule:
    """Return the rule that makes each term by itself; pair: (B [n, out, r], A [n, r, in], weights
    [n]) -> (B [out, r], A [r, in])."""

    def rule(rows: Tensor, weight: Tensor) -> Tensor:
        params, kept = layout.views(rows), torch.zeros_like(rows[:1])
        own = layout.views(kept)  # views: they move the row
        with one_thread():
            for place in _places(params):
                up, down = pair(params[f"B.{place}"], params[f"A.{place}"], weight)
                own[f"B.{place}"][0] = up
                own[f"A.{place}"][0] = down
        return kept[0]

    return rule


def _places(params: dict[str, Tensor]) -> Iterator[str]:
    return (name.removeprefix("A.") for name in params if _is_down(name))


def _is_down(name: str) -> bool:
    return name.startswith("A.")


def _along(name: str, numbers: Tensor) -> Tensor:
    """Give numbers [..., r] of a term's directions the axes of its A [r, in] or B [out, r]."""
    return numbers[..., :, None] if _is_down(name) else numbers[..., None, :]
