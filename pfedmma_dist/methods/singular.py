"""Singular: decompositions by one thread: how many there are shall reach no bit."""

import torch
from torch import Tensor

from pfedmma_dist.world.threads import one_thread


def singular(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the singular vectors of a matrix [out, in] as float32, left ones as columns and right
    ones as rows."""
    with one_thread():
        left, _, right = torch.linalg.svd(weight.cpu().double(), full_matrices=False)
    return left.float(), right.float()


def nearest_factors(up: Tensor, down: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return U S [out, rank] and V' [rank, in] of the product up [out, k] @ down [k, in] float64,
    whose first r columns and rows make the nearest matrix of rank r, for every r.

    The product is never built. The largest entry of each row of V' is positive, the first of equal
    ones. Where singular values are equal, the vectors are those that LAPACK returns.
    """
    left, upper = torch.linalg.qr(up)
    right, lower = torch.linalg.qr(down.mT)
    u, values, v = torch.linalg.svd(upper @ lower.mT, full_matrices=False)
    rows = (v @ right.mT)[:rank]
    largest = rows.abs().argmax(dim=1, keepdim=True)
    signs = torch.where(rows.gather(1, largest) < 0, -1.0, 1.0).to(rows)  # [rank, 1]
    return (left @ u * values)[:, :rank] * signs.mT, rows * signs
