"""Merging: what becomes of low-rank terms of clients at the end of a round.

Either their products become part of the frozen matrices of all, or the factors are averaged by a
rule that knows of products; both with a rank per client, where they have one.
"""

from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor

from pfedmma_dist.clip.merged import merged
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.factors import Products
from pfedmma_dist.exchange.ranks import DealtRanks, FactorRule, Ranked
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.methods.inside import Held, InsideAttention
from pfedmma_dist.methods.ranked import by_norm, by_svd, directions
from pfedmma_dist.params import Layout
from pfedmma_dist.rng import generator


class Merge(Enum):
    """What a round makes of the clients' factors."""

    none = "none"
    residual = "residual"
    product = "product"
    norm = "norm"
    svd = "svd"

    @property
    def is_dense(self) -> bool:
        """Whether frozen matrices change."""
        return self in (Merge.residual, Merge.product)


RULES: dict[Merge, Callable[[Layout], FactorRule]] = {Merge.norm: by_norm, Merge.svd: by_svd}


def merging_server(
    method: InsideAttention,
    layout: Layout,
    start: Tensor,  # [S] float32
    seed: int,
    server: Server | None,
    merge: Merge,
    ranks: tuple[int, ...],
) -> Exchange:
    """Return the server that merges; ranks: dealt over clients."""
    dealt = DealtRanks(ranks, directions(layout))
    if not merge.is_dense:
        return Ranked(start, dealt, RULES[merge](layout) if merge in RULES else None, server)
    restart = drawn_anew(layout, seed) if merge is Merge.product else None
    own = dealt if dealt.differ else None
    return Products(start, products_of(method, layout), restart, server, own)


def products_of(method: InsideAttention, layout: Layout) -> Callable[[Tensor], Tensor]:
    """Return the map of a row [S] to the products up down of all places [D], one behind another."""

    def products(row: Tensor) -> Tensor:
        params = layout.views(row[None])
        pairs = (method.factors(params, place) for place, _ in method.places())
        return torch.cat([(up[0] @ down[0]).flatten() for down, up in pairs])

    return products


def added_to(method: InsideAttention, dense: Tensor, text: ClassText) -> Held:
    """Return the CLIP of `text`, and its classes, with such products [D] in its matrices."""
    places = list(method.places())
    sizes = [width**2 for _, width in places]
    added: dict[str, dict[int, dict[str, Tensor]]] = {tower: {} for tower in method.widths}
    for (place, width), part in zip(places, dense.split(sizes), strict=True):
        tower, block, letter = method.located(place)
        added[tower].setdefault(block, {})[letter] = part.view(width, width)
    clip = merged(text.clip, **added)
    return Held(clip, text.merged(clip, method.text_start))


def drawn_anew(layout: Layout, seed: int) -> Callable[[int], Tensor]:
    """Return the map of a round to a start [S] that is drawn for it, the same for all clients."""

    def start(index: int) -> Tensor:
        draws = (
            spec.init(generator(seed, f"anew {spec.name}", index), spec.shape)
            for spec in layout.specs
        )
        return torch.cat([x.float().flatten() for x in draws])

    return start
