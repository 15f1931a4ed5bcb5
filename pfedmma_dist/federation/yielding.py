"""Yielding: a gradient that gives way where it points against a second one."""

import torch
from torch import Tensor

from pfedmma_dist.params import Layout


def yielding(
    grad: Tensor,  # [G, P + S]
    other: Tensor,  # [G, P + S]
    layout: Layout,
    share: float,
) -> Tensor:
    """Take out of a gradient a, for each client and tensor, what points against another one, b.

        a - share * min(<a, b>, 0) / |b|^2 * b                          a itself where they agree

    In float64, where the square of a small gradient is not yet 0.
    """
    sizes = [spec.size for spec in layout.specs]
    pairs = zip(grad.double().split(sizes, 1), other.double().split(sizes, 1), strict=True)
    return torch.cat([a - share * _against(a, b) * b for a, b in pairs], dim=1).to(grad.dtype)


def _against(a: Tensor, b: Tensor) -> Tensor:
    """Return the part of a along b, in lengths of b, where it is below 0: [G, 1]."""
    inner = (a * b).sum(dim=1, keepdim=True)
    return torch.where(inner < 0, inner / b.square().sum(dim=1, keepdim=True), 0.0)
