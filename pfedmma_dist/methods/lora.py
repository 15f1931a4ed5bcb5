"""LoRA (Hu et al., ICLR 2022) in both towers, and how its factors are trained and averaged.

In the attention of the top blocks of both encoders a low-rank term is added to frozen matrices,

    W h + b   ->   W h + b + s B A dropout(h)             d -> r -> d

with s = alpha / r, or alpha / sqrt(r) (rsLoRA; CLIP-LoRA, Zanella and Ben Ayed, CVPRW 2024). B
starts at zero, so every client starts as the untouched CLIP. FedIT (Zhang et al., ICASSP 2024)
averages A and B, each by itself, so that the product is not the mean of the clients' products;
FedSA-LoRA (Guo et al., ICLR 2025) averages A and leaves B with the client. The mean of the products
is had in four ways. FFA-LoRA (Sun et al., ICLR 2024) leaves A as it was drawn, the same for all.
RoLoRA (Chen et al., NeurIPS 2025) trains and averages B in the first round, A in the second, and
so on; what rests keeps its bits. FedEx-LoRA (Singhal et al., ACL 2025) adds what FedIT leaves out
to W, FLoRA (Wang et al., NeurIPS 2024) the whole mean, and A and B start anew
(exchange/factors.py).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.meaning import key
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.factors import Products, Turns
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.methods.inside import Held, InsideAttention, check_projections
from pfedmma_dist.methods.merging import added_to, drawn_anew, products_of
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.params import Layout, ParamSpec, torch_linear, zeros


class Share(Enum):
    """Which of the two matrices cross the network."""

    all = ("A", "B")
    A = ("A",)
    none = ()


class Train(Enum):
    """Which of the two matrices are trained."""

    both = "both"
    B = "B"
    alternate = "alternate"


class Scaling(Enum):
    """What alpha is divided by."""

    r = 1.0
    sqrt_r = 0.5


class Merge(Enum):
    """What is added to the frozen matrices at the end of a round."""

    none = "none"
    residual = "residual"
    product = "product"


@dataclass(kw_only=True)
class LoRAOptions:
    """Options of LoRA."""

    blocks: int = 3
    """Top blocks of both towers with low-rank terms; 3 as pFedMMA's adapters, 12 (CLIP-LoRA)."""
    rank: int = 8
    """Width r of a term; 8 is customary (Alpaca-LoRA, FedSA-LoRA), 2 (CLIP-LoRA)."""
    alpha: float = 16.0
    """The term is scaled by alpha / rank; 16 is customary with rank 8, 1 (CLIP-LoRA)."""
    projections: str = "qv"
    """Which matrices of the attention have a term: letters of q, k, v and o (queries, keys, values,
    output); q and v (LoRA), q, k and v (CLIP-LoRA)."""
    share: Share = Share.all
    """What is averaged: `all` that is trained (FedIT), `A` (FedSA-LoRA), `none` nothing (local
    LoRA)."""
    train: Train = key(Train.both, since=1)
    """`both` A and B; `B` alone, A staying as it was drawn for all clients (FFA-LoRA); or
    `alternate`: B in odd rounds, A in even ones, while the other rests (RoLoRA)."""
    scaling: Scaling = key(Scaling.r, since=1)
    """Scale of a term: `r` alpha / rank (LoRA), `sqrt_r` alpha / sqrt(rank) (CLIP-LoRA)."""
    dropout: float = key(0.0, since=1)
    """Share of a term's inputs that a step of training does without; 0.25 (CLIP-LoRA)."""
    merge: Merge = key(Merge.none, since=1)
    """What every round adds to the frozen matrices: `none`; `residual`, what the product of mean A
    and mean B lacks of the mean product (FedEx-LoRA); `product`, all of the mean product, and A and
    B start anew (FLoRA)."""

    def __post_init__(self) -> None:
        at_least_one(self, "blocks", "rank")
        if self.train is not Train.both and self.share is Share.A:
            raise ValueError(
                f"method.share: A is averaged, and with method.train={self.train.value} it is "
                f"{'never trained' if self.train is Train.B else 'so in every other round alone'}; "
                "set method.share=all, or method.train=both"
            )
        if self.merge is not Merge.none and (self.train, self.share) != (Train.both, Share.all):
            raise ValueError(
                f"method.merge: {self.merge.value} is about A and B that are both trained and "
                "averaged; set method.train=both and method.share=all, or method.merge=none"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"method.dropout: {self.dropout}; set 0 or more, below 1")
        if not self.alpha > 0:
            raise ValueError(f"method.alpha: {self.alpha}; set a positive scale, such as 16")
        check_projections(self.projections)


class LoRA(InsideAttention):
    """LoRA: low-rank terms inside the attention of both towers, averaged."""

    name = "lora"
    Options = LoRAOptions
    neutral = ("B",)

    def __init__(self, options: LoRAOptions, dims: Dims) -> None:
        super().__init__(options.blocks, options.projections, dims)
        self.options, self.dropout = options, options.dropout
        self.scale = options.alpha / options.rank**options.scaling.value
        plain = options.merge is Merge.none
        self.neutral = self.neutral if plain else ()  # W is no longer CLIP's
        self.goes_on = plain and options.train is not Train.alternate
        shared, frozen = options.share.value, options.train is Train.B
        specs = []
        for place, width in self.places():
            down, up = (options.rank, width), (width, options.rank)
            how = {"frozen": True} if frozen else {"shared": "A" in shared}
            specs += [
                ParamSpec(f"A.{place}", down, torch_linear(width), **how),
                ParamSpec(f"B.{place}", up, zeros, shared="B" in shared),
            ]
        self.specs = tuple(specs)

    def factors(self, params: dict[str, Tensor], place: str) -> tuple[Tensor, Tensor]:
        """Return A [G, r, in] and s B [G, out, r]."""
        return params[f"A.{place}"], self.scale * params[f"B.{place}"]

    def resting(self, prepared: Any, round_index: int) -> dict[str, Tensor]:
        """Let A rest in the first round and B in the second: where B is 0, A has no gradient."""
        if self.options.train is not Train.alternate:
            return {}
        rests, all_of_them = "B" if round_index % 2 else "A", torch.ones(1, dtype=torch.bool)
        return {spec.name: all_of_them for spec in self.specs if spec.name.startswith(rests)}

    def exchange(
        self, layout: Layout, template: Tensor, seed: int, server: Server | None = None
    ) -> Exchange:
        """Return FedAvg's server, or one that takes the two factors apart or their products."""
        start = template[layout.num_private :]
        if self.options.merge is not Merge.none:
            restart = drawn_anew(layout, seed) if self.options.merge is Merge.product else None
            return Products(start, products_of(self, layout), restart, server)
        if self.goes_on or not layout.num_shared:
            return super().exchange(layout, template, seed, server)
        is_b = torch.zeros(1, layout.num_shared, dtype=torch.bool)
        for name, part in layout.views(is_b).items():  # views: they move the row
            part.fill_(name.startswith("B."))
        return Turns(start, [is_b[0], ~is_b[0]], server)

    def prepare(self, extra: Any, text: ClassText) -> Held | None:
        """Merge what rounds have added to the frozen matrices, where any does."""
        return None if self.options.merge is Merge.none else added_to(self, extra, text)
