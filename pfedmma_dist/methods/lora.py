"""LoRA (Hu et al., ICLR 2022) in both towers, averaged by FedAvg, or its A alone.

In the attention of the top blocks of both encoders a low-rank term is added to frozen matrices,

    W h + b   ->   W h + b + alpha / r * B A h             d -> r -> d

for those of queries, keys, values and output that `projections` names. B starts at zero, so every
client starts as the untouched CLIP. FedIT (Zhang et al., ICASSP 2024) averages A and B, each by
itself, so that the product is not the mean of the clients' products; FedSA-LoRA (Guo et al., ICLR
2025) averages A and leaves B with the client; FFA-LoRA (Sun et al., ICLR 2024) leaves A as it was
drawn, the same for all, so that the mean of B makes the mean of the products. The template prompts
are run at every step, with the client's own text tower. Without dropout.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.low_rank import Inside, LowRank
from pfedmma_dist.clip.model import Dims, FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.method import Method, at_least_one, cosine_logits, encode, top_blocks
from pfedmma_dist.params import ParamSpec, torch_linear, zeros

TOWERS = ("image", "text")


class Share(Enum):
    """Which of the two matrices cross the network."""

    all = ("A", "B")
    A = ("A",)
    none = ()


class Train(Enum):
    """Which of the two matrices are trained."""

    both = "both"
    B = "B"


@dataclass(kw_only=True)
class LoRAOptions:
    """Options of LoRA."""

    blocks: int = 3
    """Top blocks of both towers with low-rank terms; 3 as pFedMMA's adapters."""
    rank: int = 8
    """Width r of a term; 8 is customary (Alpaca-LoRA, FedSA-LoRA)."""
    alpha: float = 16.0
    """The term is scaled by alpha / rank; 16 is customary with rank 8."""
    projections: str = "qv"
    """Which matrices of the attention have a term: letters of q, k, v and o (queries, keys, values,
    output); q and v (LoRA)."""
    share: Share = Share.all
    """What is averaged: `all` that is trained (FedIT), `A` (FedSA-LoRA), `none` nothing (local
    LoRA)."""
    train: Train = key(Train.both, since=1)
    """`both` A and B, or `B` alone, A staying as it was drawn for all clients (FFA-LoRA)."""

    def __post_init__(self) -> None:
        if self.train is Train.B and self.share is Share.A:
            raise ValueError(
                "method.share: A is averaged, and with method.train=B it is never trained; set "
                "method.share=all, or method.train=both"
            )
        at_least_one(self, "blocks", "rank")
        if not self.alpha > 0:
            raise ValueError(f"method.alpha: {self.alpha}; set a positive scale, such as 16")
        letters = set(self.projections)
        if not letters or letters - set("qkvo") or len(letters) < len(self.projections):
            raise ValueError(
                f"method.projections: {self.projections!r}; write some of the letters q, k, v and "
                "o, each once, such as qv"
            )


class LoRA(Method):
    """LoRA: low-rank terms inside the attention of both towers, averaged."""

    name = "lora"
    Options = LoRAOptions
    neutral = ("B",)

    def __init__(self, options: LoRAOptions, dims: Dims) -> None:
        self.options = options
        image_start, self.text_start = top_blocks(self.name, options.blocks, dims)
        self.images = ImageFeatures(start=image_start, entry=True)
        self.specs = tuple(self._specs(dims))

    def _specs(self, dims: Dims) -> list[ParamSpec]:
        rank, shared = self.options.rank, self.options.share.value
        how_a = {"frozen": True} if self.options.train is Train.B else {"shared": "A" in shared}
        specs = []
        for level in range(self.options.blocks):  # 0 is the lowest adapted block
            for tower, width in zip(TOWERS, (dims.image_width, dims.text_width), strict=True):
                for letter in self.options.projections:
                    place = f"{level}.{tower}.{letter}"
                    down, up = (rank, width), (width, rank)
                    specs += [
                        ParamSpec(f"A.{place}", down, torch_linear(width), **how_a),
                        ParamSpec(f"B.{place}", up, zeros, shared="B" in shared),
                    ]
        return specs

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the template prompts with this client's terms in the text tower: [G, C, D]."""
        num_clients = len(next(iter(params.values())))
        inside = self._inside(params, "text", self.text_start, text.clip.text.dtype)
        return text.adapted(inside, self.text_start, num_clients)

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Compare the images, as this client sees them, with the classes: [G, B, C]."""
        return cosine_logits(self._encoded(params, images, clip), classes, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the image vectors [G, B, 1, D]."""
        return self._encoded(params, images, clip)[:, :, None]

    def _encoded(self, params: dict[str, Tensor], images: Tensor, clip: FrozenCLIP) -> Tensor:
        """Run the images with this client's terms in the image tower: [G, B, D]."""
        inside = self._inside(params, "image", self.images.start, clip.text.dtype)
        return encode(clip, images, self.images, inside=inside)

    def _inside(
        self, params: dict[str, Tensor], tower: str, start: int, dtype: torch.dtype
    ) -> Inside:
        """Return the terms of one tower by block."""
        scale = self.options.alpha / self.options.rank

        def term(place: str) -> LowRank:
            return LowRank(params[f"A.{place}"].to(dtype), (scale * params[f"B.{place}"]).to(dtype))

        return lambda block: {
            letter: term(f"{block - start}.{tower}.{letter}") for letter in self.options.projections
        }
