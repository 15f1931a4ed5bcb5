"""Fed-SB (Singhal et al., 2025): a small square matrix between two frozen factors, averaged.

In the attention of the top blocks of both encoders (LoRA-SB, Ponkshe et al., 2024),

    W h + b   ->   W h + b + B R A h             d -> r -> r -> d

with A [r, d] and B [d, r] the same for all clients and never trained, so that the mean of the
clients' R [r, r] makes the mean of their products: nothing is lost in averaging. R starts at zero,
so every client starts as the untouched CLIP. At r = 16, in queries and values of the top 3 blocks
of both towers, a client trains, sends and receives 3 * 2 * 2 * 16^2 = 3,072 numbers, as many as
pFedMMA exchanges.

A and B are the first singular vectors of W, right ones in A and left ones in B (as LoRA-XS takes
them, Balazy et al., 2024), or drawn at random. LoRA-SB itself takes those of the first gradient of
W, for which the server would need images; that is not here.
"""

from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from pfedmma_dist.clip.merged import attention_maps
from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.inside import InsideAttention, check_projections
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.share import Share
from pfedmma_dist.methods.singular import singular
from pfedmma_dist.params import ParamSpec, drawn, normal, zeros


class Init(Enum):
    """What the frozen factors are."""

    svd_of_weight = "svd_of_weight"
    random = "random"


@dataclass(kw_only=True)
class FedSBOptions:
    """Options of Fed-SB."""

    blocks: int = key(3, since=1)
    """Top blocks of both towers with a term; 3 as pFedMMA's adapters."""
    rank: int = key(16, since=1)
    """Side r of the trained matrix; 16 makes 3,072 numbers."""
    projections: str = key("qv", since=1)
    """Which matrices of the attention have a term: letters of q, k, v and o."""
    init: Init = key(Init.svd_of_weight, since=1)
    """Frozen factors: `svd_of_weight`, singular vectors of the frozen matrix beside them (LoRA-XS),
    or `random`, N(0, 1 / d)."""
    share: Share = key(Share.all, since=1)
    """What is averaged: `all` R (the method), `none` nothing (local LoRA-SB)."""

    def __post_init__(self) -> None:
        at_least_one(self, "blocks", "rank")
        check_projections(self.projections)


class FedSB(InsideAttention):
    """Fed-SB: r x r matrices between frozen factors, inside the attention of both towers."""

    name = "fedsb"
    Options = FedSBOptions
    neutral = ("R",)

    def __init__(self, options: FedSBOptions, dims: Dims) -> None:
        super().__init__(options.blocks, options.projections, dims)
        self.options, rank = options, options.rank
        if rank > min(self.widths.values()):
            raise ValueError(
                f"method.rank: {rank}; the narrower tower has width {min(self.widths.values())}"
            )
        specs = []
        for place, width in self.places():
            start = normal(width**-0.5)
            specs += [
                ParamSpec(f"A.{place}", (rank, width), start, frozen=True),
                ParamSpec(f"B.{place}", (width, rank), start, frozen=True),
                ParamSpec(f"R.{place}", (rank, rank), zeros, shared=options.share is Share.all),
            ]
        self.specs = tuple(specs)

    def factors(self, params: dict[str, Tensor], place: str) -> tuple[Tensor, Tensor]:
        """Return A [G, r, in] and B R [G, out, r]."""
        return params[f"A.{place}"], params[f"B.{place}"] @ params[f"R.{place}"]

    def frozen(self, seed: int, clip: FrozenCLIP) -> dict[str, Tensor]:
        """Return the factors A and B."""
        if self.options.init is Init.random:
            return drawn(self.specs, seed)
        found: dict[str, Tensor] = {}
        rank = self.options.rank
        for place, _ in self.places():
            tower, block, letter = self.located(place)
            left, right = singular(attention_maps(getattr(clip, tower).blocks[block])[letter])
            found |= {f"A.{place}": right[:rank], f"B.{place}": left[:, :rank]}
        return found
