"""Groups: prompts of a client beside each other, how far apart they are, and which go together."""

from enum import Enum

import torch
from torch import Tensor


class Distance(Enum):
    """How far two unit vectors are apart."""

    l1 = "l1"
    l2 = "l2"
    cosine = "cosine"

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the mean of |a - b| over coordinates, the length of a - b, or 1 - cosine [...] of
        unit vectors [..., D]."""
        if self is Distance.cosine:
            return 1 - (a * b).sum(dim=-1)
        apart = a - b
        return apart.abs().mean(dim=-1) if self is Distance.l1 else apart.norm(dim=-1)


def spread(vectors: Tensor, distance: Distance) -> Tensor:
    """Return the mean distance between groups [G, M] of unit vectors [G, N, M, D]; 0 of one."""
    num_groups = vectors.shape[1]
    one, other = torch.triu_indices(num_groups, num_groups, 1, device=vectors.device)
    return distance.between(vectors[:, one], vectors[:, other]).sum(dim=1) / max(1, len(one))


def beside(prompts: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Return prompts [G, N, ...] in the order of others, whose groups are `wanted` [G, N]; own:
    theirs [G, N]. Where rows were mixed, the least number goes with the least."""
    order = torch.empty_like(wanted, dtype=torch.int64)
    order.scatter_(1, wanted.argsort(dim=1, stable=True), own.argsort(dim=1, stable=True))
    return torch.take_along_dim(
        prompts, order.reshape(*order.shape, *[1] * (prompts.dim() - 2)), dim=1
    )
