"""Merged: a CLIP whose attention holds what was added to its frozen matrices."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from pfedmma_dist.clip.block import Block
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.tower import Tower

Dense = Mapping[int, Mapping[str, Tensor]]
"""Block index -> what is added [W, W] to its maps to queries, keys, values and output: "q" "k" "v"
"o"."""


def merged(clip: FrozenCLIP, image: Dense, text: Dense) -> FrozenCLIP:
    """Return the CLIP with these additions; it shares all other weights with the one given."""
    own = copy(clip)
    own.image, own.text = _tower(clip.vit()[0], image), _tower(clip.text, text)
    return own


def attention_maps(block: Block) -> dict[str, Tensor]:
    """Return the matrices [W, W] to queries, keys, values and output."""
    return {**dict(zip("qkv", block.qkv_weight.chunk(3), strict=True)), "o": block.out_weight}


def _tower(tower: Tower, dense: Dense) -> Tower:
    own = copy(tower)
    own.blocks = list(tower.blocks)
    for index, added in dense.items():
        block = own.blocks[index]
        maps = attention_maps(block).items()
        q, k, v, out = (_sum(weight, added.get(letter)) for letter, weight in maps)
        own.blocks[index] = replace(block, qkv_weight=torch.cat([q, k, v]), out_weight=out)
    return own


def _sum(weight: Tensor, added: Tensor | None) -> Tensor:
    """Add in the wider type and round once."""
    if added is None:
        return weight
    wide = torch.promote_types(weight.dtype, added.dtype)
    return (weight.to(wide) + added.to(weight.device, wide)).to(weight.dtype)
