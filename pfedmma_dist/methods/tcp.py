"""TCP (Yao et al., CVPR 2024), its text part, averaged by FedAvg: class-aware prompt tokens.

A context of n vectors is common to all classes. A net of two layers makes n more vectors of each
class from z_c, its unit vector of data.template's prompt, frozen,

    tokens_c = W2 quick_gelu(W1 z_c + b1) + b2         D -> D / 4 -> n x text width

which stand in the places of the context from a block on, 8 of 0 .. 11 at ViT-B/16. So the prompts
have their first tokens in common below that block, and their start alone above it. As in KgCoOp,

    loss = CE(scale * <image, t_c>) + weight * (1 - mean over classes of <t_c, z_c>)

At n = 4 and width 512 a client trains, sends and receives 2,048 + 329,856 = 331,904 numbers. The
published configuration has a weight for the class tokens that its code leaves at 1, and words for
the X of the template of some data sets; here there is neither.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.clip.tower import QUICK_GELU
from pfedmma_dist.methods.kgcoop import KgCoOp
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompts import check_words
from pfedmma_dist.methods.share import Share
from pfedmma_dist.params import ParamSpec, torch_linear

REDUCTION = 4
"""Embedding width over the width of the net; 4 (released code)."""


@dataclass(kw_only=True)
class TCPOptions:
    """Options of TCP."""

    num_context: int = 4
    """Context vectors before the class name, and tokens of each class; 4 (paper)."""
    ctx_init: str | None = None
    """Words that the context starts as, each of one token, in place of num_context draws from
    N(0, 0.02^2); "a photo of a" in the released code."""
    blocks: int | None = None
    """Top blocks of the text tower that read the class tokens; null takes a third of them, at least
    one: 4 of 12 (released code)."""
    weight: float = 8.0
    """Weight of the distance to the hand-written prompt; 8 (released code)."""
    share: Share = Share.all
    """`all` averages context and net; `none` trains each client's alone (local TCP)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        check_words(self.ctx_init)
        if not self.weight >= 0:
            raise ValueError(f"method.weight: {self.weight}; set 0 or more, such as 8")


class TCP(KgCoOp):
    """TCP: a learned context, which in the upper blocks gives way to tokens of each class."""

    name = "tcp"
    Options = TCPOptions

    def __init__(self, options: TCPOptions, dims: Dims) -> None:
        super().__init__(options, dims)
        blocks = max(1, dims.text_blocks // 3) if options.blocks is None else options.blocks
        if not 1 <= blocks < dims.text_blocks:
            raise ValueError(
                f"method.blocks: {blocks} of the {dims.text_blocks} blocks of the text tower; set "
                "1 or more, and leave one below them for the context"
            )
        self.start = dims.text_blocks - blocks
        [context], inner = self.specs, max(1, dims.embed_dim // REDUCTION)
        out = context.size
        shapes = {
            "net.down": ((inner, dims.embed_dim), torch_linear(dims.embed_dim)),
            "net.down.bias": ((inner,), torch_linear(dims.embed_dim)),
            "net.up": ((out, inner), torch_linear(inner)),
            "net.up.bias": ((out,), torch_linear(inner)),
        }
        net = (ParamSpec(name, *how, shared=context.shared) for name, how in shapes.items())
        self.specs = (context, *net)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the prompts, with each class's tokens, through the text tower: [G, C, D]."""
        context, tokens = params["context"], self.tokens(params, text.plain)
        return text.with_class_tokens(context, tokens, self.start)

    def tokens(self, params: dict[str, Tensor], vectors: Tensor) -> Tensor:
        """Return the tokens [G, C, n, W] of classes with these unit vectors [C, D]."""
        hidden = vectors @ params["net.down"].mT + params["net.down.bias"][:, None]
        hidden = hidden * torch.sigmoid(QUICK_GELU * hidden)
        out = hidden @ params["net.up"].mT + params["net.up.bias"][:, None]
        return out.unflatten(2, params["context"].shape[1:])
