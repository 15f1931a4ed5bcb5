"""Merging: the matrices of attention with a client's low-rank terms in them.

What stands in place of a frozen matrix W is W + up down, whatever the terms are made of: LoRA's
A and B with its scale, DoRA's lengths, Fed-SB's R, and what rounds have merged into W before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.freeze import text_tower
from pfedmma_dist.clip.merged import attention_maps
from pfedmma_dist.home.head import Head
from pfedmma_dist.methods.inside import Held, InsideAttention


@dataclass(frozen=True)
class Term:
    """What is trained of one matrix."""

    tower: str  # image or text
    block: int
    letter: str  # of q, k, v and o
    weight: Tensor  # [out, in] float32, with all that is added to it
    down: Tensor  # [r, in]
    up: Tensor  # [out, r]
    place: str  # in the names of the method's parameters


def has_terms(head: Head) -> bool:
    """Say whether a head's own numbers are terms inside attention."""
    return isinstance(head.method, InsideAttention)


def is_merged(head: Head) -> bool:
    """Say whether rounds have changed the frozen matrices themselves."""
    return isinstance(head.prepared, Held) and head.prepared.clip is not None


def terms_of(head: Head) -> Iterator[Term]:
    """Yield the terms of a head, both towers'."""
    method = head.method
    assert isinstance(method, InsideAttention)
    held = head.prepared if isinstance(head.prepared, Held) else Held()
    clip = held.clip or head.clip
    for place, _ in method.places():
        tower, block, letter = method.located(place)
        frozen = attention_maps(getattr(clip, tower).blocks[block])[letter]
        down, up = (x[0].detach() for x in method.factors(head.params, place))
        weight = (frozen.double() + up.double() @ down.double()).float()
        yield Term(tower, block, letter, weight, down, up, place)


@torch.no_grad()
def merge_into(module: Any, head: Head) -> None:
    """Put the matrices of a head into a module of open_clip, which has the run's weights."""
    towers: dict[str, Any] = {"image": module.visual, "text": text_tower(module)}
    for term in terms_of(head):
        attention = towers[term.tower].transformer.resblocks[term.block].attn
        whole = attention.out_proj.weight if term.letter == "o" else attention.in_proj_weight
        begin = 0 if term.letter == "o" else "qkv".index(term.letter) * len(term.weight)
        whole[begin : begin + len(term.weight)] = term.weight.to(whole)
