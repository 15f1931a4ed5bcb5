"""Linear: products with a frozen matrix, by the library that is quicker at them."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula

PRODUCT = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
"""The kernel that torch.compile takes on a CPU, without a gradient; not every build has it."""

LEAST = 1 << 18
"""Weights of a matrix from which oneDNN is asked, as of 512 x 512; below it saves nothing."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Map x [..., in] by a frozen weight [out, in] and bias [out]: [..., out].

    In float32 on a CPU large ones go by oneDNN, which adds the bias on its way: torch itself takes
    it for bfloat16 alone.
    """
    if not by_one_dnn(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and x.requires_grad:
        return _Frozen.apply(x, weight, bias)
    return _product(x, weight, bias)


def by_one_dnn(x: Tensor, weight: Tensor) -> bool:
    """Say whether a product goes by oneDNN: by sizes and types alone."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and weight.numel() >= LEAST
        and not weight.requires_grad
        and PRODUCT is not None
    )


def _flops(x: torch.Size, weight: torch.Size, *more: object, **shapes: object) -> int:
    return 2 * math.prod(x) * weight[0]


if PRODUCT is not None:  # torch's counter knows only kernels of its own
    register_flop_formula(PRODUCT)(_flops)


class _Frozen(torch.autograd.Function):
    """The same, of which only the input has a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _product(grad, ctx.weight.t(), None), None, None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    assert PRODUCT is not None
    return PRODUCT(x, weight, bias, "none", [], "")
