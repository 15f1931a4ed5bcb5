"""Embeddings: how pixels, and how words, become the tokens of a tower."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.block import Norm


@dataclass(frozen=True)
class ImageEmbedding:
    """Pixels to the first residual stream of a ViT."""

    patch_weight: Tensor  # [W, 3, patch, patch]
    class_token: Tensor  # [W]
    position: Tensor  # [T, W]
    ln_pre: Norm | None

    def __call__(self, pixels: Tensor) -> Tensor:
        """[N, 3, H, H] -> [N, T, W]."""
        return self.normed(self.tokens(pixels))

    def tokens(self, pixels: Tensor) -> Tensor:
        """Return all tokens with their positions, before any norm: [N, 3, H, H] -> [N, T, W]."""
        weight = self.patch_weight
        patches = F.conv2d(pixels.to(weight.dtype), weight, stride=weight.shape[-1])
        patches = patches.flatten(2).transpose(1, 2).to(self.position.dtype)
        first = self.class_token.expand(patches.shape[0], 1, -1)  # len would fix it in a trace
        return torch.cat([first, patches], dim=1) + self.position

    def normed(self, tokens: Tensor) -> Tensor:
        """Return what enters block 0: tokens [N, T, W] behind the norm in front of it, if any."""
        return tokens if self.ln_pre is None else self.ln_pre(tokens)


@dataclass(frozen=True)
class TextEmbedding:
    """Token ids to vectors; positions are added later, since prompts replace vectors."""

    token: Tensor  # [V, W]
    position: Tensor  # [L, W]
    eot: int | None
    """Token id whose position is pooled; None pools at the largest id, as OpenAI's CLIP does."""

    def eot_index(self, ids: Tensor) -> Tensor:
        """Return the pooled position of each sequence: [C, L] -> [C]."""
        return ids.argmax(dim=1) if self.eot is None else (ids == self.eot).int().argmax(dim=1)
