"""Decomposed: a matrix of a length per output, and of directions that a low-rank term turns.

In place of W stands, for each of its rows (what makes one output),

    m (W + s B A) / |W + s B A|

with m [out] trained from |W| on, and the norm a constant in the gradient (DoRA, Liu et al., ICML
2024, section 4.3). The paper calls these the columns; its code takes the norm over a row of W, for
an output, as is done here.
"""

import torch
from torch import Tensor

from pfedmma_dist.clip.merged import attention_maps
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.inside import InsideAttention
from pfedmma_dist.params import Layout, ParamSpec, zeros


def decomposed_specs(place: str, width: int, *, shared: bool) -> list[ParamSpec]:
    """Return the lengths of a square matrix at a place, and the frozen matrix itself."""
    return [
        ParamSpec(f"m.{place}", (width,), zeros, shared=shared),
        ParamSpec(f"W.{place}", (width, width), zeros, frozen=True),
    ]


def frozen_maps(method: InsideAttention, clip: FrozenCLIP) -> dict[str, Tensor]:
    """Return the frozen matrix W [out, in] of every place."""
    found = {}
    for place, _ in method.places():
        tower, block, letter = method.located(place)
        found[f"W.{place}"] = attention_maps(getattr(clip, tower).blocks[block])[letter]
    return found


def measure_lengths(row: Tensor, layout: Layout) -> Tensor:
    """Return a row [P + S] whose lengths are those of the frozen matrices."""
    row = row.clone()
    params = layout.views(row[None])  # views: filling them fills the row
    for name, value in params.items():
        if name.startswith("m."):
            value[0] = lengths(params[f"W.{name[2:]}"])[0].cpu()
    return row


def decomposed(
    weight: Tensor,  # [G, out, in] W
    magnitude: Tensor,  # [G, out] m
    down: Tensor,  # [G, r, in] A
    up: Tensor,  # [G, out, r] s B
) -> tuple[Tensor, Tensor]:
    """Return (down [G, r + out, in], up [G, out, r + out]) of what is added to W."""
    with torch.no_grad():
        norm = lengths(weight + up @ down)
    factor = magnitude / norm
    return (
        torch.cat([down, weight], dim=1),
        torch.cat([factor[:, :, None] * up, torch.diag_embed(factor - 1)], dim=2),
    )


def lengths(weight: Tensor) -> Tensor:
    """Return the norms [G, out] of the rows of matrices [G, out, in]."""
    return torch.linalg.vector_norm(weight, dim=2)
