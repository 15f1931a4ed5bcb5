"""CoCoOp (Zhou et al., CVPR 2022): prompts conditioned on the image, averaged by FedAvg.

A context of n vectors is common to all images; a small net turns the image's unit vector x into one
more vector, which is added to each of them,

    context(x) = context + W2 relu(W1 x + b1) + b2         D -> D / 16 -> text width

so every image has its own class vectors and costs a text pass over all classes. All of it is
trained, sent and averaged: 8,192 + 33,312 = 41,504 numbers at n = 16 and ViT-B/16. CoCoOp's own
recipe is for one client: batches of 1, lr 2e-3, 4 vectors that start as "a photo of a".
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.storage import GIB
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one, encode
from pfedmma_dist.methods.prompts import check_words, context, spell
from pfedmma_dist.methods.share import Share
from pfedmma_dist.params import Layout, ParamSpec, torch_linear

REDUCTION = 16
"""Embedding width over the width of the net; 16 (CoCoOp)."""


@dataclass(kw_only=True)
class CoCoOpOptions:
    """Options of CoCoOp."""

    num_context: int = 16
    """Context vectors before the class name; 16 (pFedMMA's configuration of it)."""
    ctx_init: str | None = None
    """Words that the context starts as, each of one token, in place of num_context draws from
    N(0, 0.02^2); CoCoOp's own recipe has "a photo of a"."""
    share: Share = Share.all
    """`all` averages context and net; `none` trains each client's alone (local CoCoOp)."""
    memory: float = 4.0
    """Largest activations of one text pass in training, GiB. What is larger goes image by image in
    passes of this size, which the backward pass runs again: the gradient is the same, half as much
    again is computed."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        check_words(self.ctx_init)
        if not self.memory > 0:
            raise ValueError(f"method.memory: {self.memory}; set some GiB, such as 4")


class CoCoOp(Method):
    """CoCoOp + FedAvg: a learned context, shifted by a net that sees the image."""

    name = "cocoop"
    Options = CoCoOpOptions

    def __init__(self, options: CoCoOpOptions, dims: Dims) -> None:
        self.options = options
        inner, width = max(1, dims.embed_dim // REDUCTION), dims.text_width
        shapes = {
            "net.down": ((inner, dims.embed_dim), torch_linear(dims.embed_dim)),
            "net.down.bias": ((inner,), torch_linear(dims.embed_dim)),
            "net.up": ((width, inner), torch_linear(inner)),
            "net.up.bias": ((width,), torch_linear(inner)),
        }
        shared = options.share is Share.all
        self.specs = (
            context(options.ctx_init, options.num_context, width, shared=shared),
            *(ParamSpec(name, *how, shared=shared) for name, how in shapes.items()),
        )

    def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
        """Return the row [P + S] that every client starts from, with the words of `ctx_init`."""
        return spell(layout.template(seed), layout, self.options.ctx_init, clip)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> ClassText:
        """Return the text side itself: class vectors wait for an image."""
        return text

    def logits(
        self, params: dict[str, Tensor], classes: ClassText, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Run the prompts of every image through the text tower: [G, B, C]."""
        x = encode(clip, images, self.images)  # [G, B, D]
        vectors = self._shifted(params, classes, x)
        return clip.scale * (vectors @ x[..., None])[..., 0]  # [G, B, C, D] x [G, B, D, 1]

    def representation(
        self, params: dict[str, Tensor], classes: ClassText, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors of every image [G, B, C, D]; a text pass for each."""
        return self._shifted(params, classes, encode(clip, images, self.images))

    def _shifted(self, params: dict[str, Tensor], text: ClassText, x: Tensor) -> Tensor:
        """Return the class vectors [G, B, C, D] that unit vectors x [G, B, D] ask for."""
        hidden = torch.relu(x @ params["net.down"].mT + params["net.down.bias"][:, None])
        shift = hidden @ params["net.up"].mT + params["net.up.bias"][:, None]  # [G, B, W]
        shifted = params["context"][:, None] + shift[:, :, None]  # [G, B, n, W]
        return self._vectors(text, shifted.flatten(0, 1)).unflatten(0, x.shape[:2])

    def _vectors(self, text: ClassText, context: Tensor) -> Tensor:
        """Return class vectors [N, C, D] of contexts [N, n, W], in passes that fit the memory."""
        fitting = int(self.options.memory * GIB / text.context_bytes(context.shape[1]))
        if len(context) <= max(1, fitting):
            return text.with_context(context)
        passes = [
            checkpoint(text.with_context, part, use_reentrant=False, preserve_rng_state=False)
            for part in context.split(max(1, fitting))
        ]
        return torch.cat(passes)
