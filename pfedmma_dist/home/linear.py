"""Linear: the class side of a head whose logits are weights times the untouched image vector.

Whether they are is asked of the head itself, and not of its method's name: its logits of the zero
vector are the bias, those of the D unit vectors the weights, and on other vectors the two must give
what the head does.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.kinds import Read, listed
from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.home.head import Head

CHUNK = 64
"""Vectors that are asked for at once."""

TRIES = 8


@dataclass(frozen=True)
class Linear:
    """logits = scale * x @ classes.T + bias."""

    classes: Tensor  # [C, D] float32
    bias: Tensor | None  # [C] float32; None: there is none


def largest_allowed(logits: Tensor) -> float:
    """Return how far two computations of these logits may be apart: 2e-5, or from logits of 20 on,
    where float32 numbers are 2e-6 and more apart, a millionth of the largest."""
    return max(2e-5, 1e-6 * float(logits.abs().max()))


@torch.no_grad()
def linear_of(head: Head) -> Linear | str:
    """Return the class matrix of a head, or why it has none (completes "...: ")."""
    if any(kind != FINAL for kind in listed(head.method.images)):
        return "it trains inside the image tower, or reads more of an image than its vector"
    if head.clip.plain:
        return "the plain form of the CLIP has no image vectors to ask with; set clip.cache=auto"
    width, device = head.clip.dims.embed_dim, head.clip.device
    rng = torch.Generator().manual_seed(0)
    tried = F.normalize(torch.randn(TRIES, width, generator=rng), dim=1).to(device)
    nothing = _asked(head, torch.zeros(1, width, device=device))
    alone = _asked(head, tried)
    pairs = _asked(head, (tried[0::2] + tried[1::2]) / 2)
    half = (alone[0::2] + alone[1::2]) / 2
    if not _near(pairs, half):  # before as many questions as a vector has coordinates
        return "its logits are no linear map of the image's vector"
    weights = torch.cat([_asked(head, x) for x in torch.eye(width, device=device).split(CHUNK)])
    weights = (weights - nothing).mT
    if not _near(alone, tried @ weights.mT + nothing):
        return "its logits are no linear map of the image's vector"
    bias = nothing[0].float().cpu() if bool(nothing.any()) else None
    return Linear((weights / head.clip.scale).float().cpu().contiguous(), bias)


def _asked(head: Head, vectors: Tensor) -> Tensor:
    """Return the logits [n, C] of image vectors [n, D]."""
    read: Read = vectors[None]
    if isinstance(head.method.images, tuple):
        read = (vectors[None],) * len(head.method.images)
    seen = head.method.see(head.params, head.classes, read, head.clip)
    return head.method.logits(head.params, head.classes, seen, head.clip)[0]


def _near(one: Tensor, other: Tensor) -> bool:
    return float((one - other).abs().max()) <= largest_allowed(one)
