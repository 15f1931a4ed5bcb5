"""DP-FPL's parametrisation (Tran et al., ICLR 2025): a client's own prompt as low rank and rest.

A client's context is p = G + L, G [n, W] averaged and L [n, W] its own. At every step L is factored
anew, L = u v + rest, and only u [n, r] and v [r, W] are trained: the rest stands still. With g_p
the gradient of the cross-entropy, g_u = g_p v' and g_v = u' g_p are theirs, and L moves against

    as_paper       g_u v + u g_v                     what a step of u and v makes of u v, to first
                                                     order; v = u' L, so that u v is the matrix of
                                                     rank r nearest to L
    as_released    (g_u v + u g_v + u u' g_u v) / 10     v with orthonormal rows, too

where u is orthonormal. As released, u v is not near L; since it is added and taken off again, p
knows nothing of that, and only the gradient does. u and v are where the paper's power iteration
ends, the first r singular vectors of L; momentum and decay are those of L.

This is the parametrisation alone. What it is for, noise on the clipped gradients of u and v, is not
here: **nothing in this method is private.** G is averaged at the end of a round, where the released
code averages its gradient at every batch. At n = 16 and width 512 a client trains 16,384 numbers
and exchanges 8,192.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.method import Method, at_least_one
from pfedmma_dist.methods.prompts import common_and_own
from pfedmma_dist.methods.share import CommonShare


class Factoring(Enum):
    """What the factors of a client's prompt are, and how it follows them."""

    as_paper = "as_paper"
    as_released = "as_released"


@dataclass(kw_only=True)
class DPFPLOptions:
    """Options of DP-FPL."""

    num_context: int = key(16, since=1)
    """Context vectors of each prompt; 16 as the other prompts have."""
    rank: int = key(8, since=1)
    """Rank r of what a step trains of a client's prompt, which has no rest where it is no longer
    than that; 8 (released code)."""
    factoring: Factoring = key(Factoring.as_paper, since=1)
    """`as_paper`: u v is the nearest matrix of rank r to the client's prompt; `as_released`: v is
    orthonormal, too, with the released code's sum of gradients."""
    share: CommonShare = key(CommonShare.common, since=1)
    """What is averaged: the `common` prompt (the method), `all` both (FedAvg), or `none` (local
    prompts)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context", "rank")


class DPFPL(Method):
    """DP-FPL without its noise: a common prompt and an own one, trained along low-rank factors."""

    name = "dpfpl"
    Options = DPFPLOptions

    def __init__(self, options: DPFPLOptions, dims: Dims) -> None:
        self.options = options
        self.specs = common_and_own(options.num_context, dims.text_width, options.share)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the sum of both prompts through the text tower: [G, C, D]."""
        own = params["own"]
        if own.requires_grad:
            own = along_factors(own, self.options)
        return text.with_context(params["common"] + own)

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors [G, 1, C, D]: images do not matter."""
        return classes[:, None]


def along_factors(own: Tensor, options: DPFPLOptions) -> Tensor:
    """Return own prompts [G, n, W] as they are, with the gradient that their factors hand on."""
    at = own.detach()
    left, values, right = torch.linalg.svd(at, full_matrices=False)
    u, v = left[:, :, : options.rank], right[:, : options.rank]
    moved = own - at  # zeros, which autograd takes for the prompt
    # Both maps are their own transposes, so that they do to a gradient what they do to a move.
    if options.factoring is Factoring.as_paper:
        v = values[:, : options.rank, None] * v  # u' L
        return at + moved @ v.mT @ v + u @ (u.mT @ moved)
    in_rows = moved @ v.mT @ v
    return at + (in_rows + u @ (u.mT @ (moved + in_rows))) / 10
