"""Products with large frozen matrices go by oneDNN: the same numbers but for rounding."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pfedmma_dist.clip.linear import by_one_dnn, linear

SIZES = 1024, 256
"""Rows of the matrix, and columns: as many weights as it takes, and not square."""


def inputs(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return tokens, weight, bias, and the gradient of what the tokens become."""
    draw, (rows, columns) = torch.Generator().manual_seed(0), SIZES
    shapes = [(3, 20, columns), (rows, columns), (rows,), (3, 20, rows)]
    return [torch.randn(shape, generator=draw).to(dtype) for shape in shapes]


def passes(product: object, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, int]:
    """Return what tokens become, their gradient, and the operations of both."""
    x, weight, bias, grad = inputs(dtype)
    x.requires_grad_()
    with FlopCounterMode(display=False) as counter:
        out = product(x, weight, bias)
        (back,) = torch.autograd.grad(out, x, grad)
    return out.detach(), back, counter.get_total_flops()


def test_product_and_gradient_round_as_torch_does() -> None:
    exact, usual, ours = passes(F.linear, torch.float64), passes(F.linear), passes(linear)
    for truth, theirs, own in zip(exact[:2], usual[:2], ours[:2], strict=True):
        error, common = ((x.double() - truth).norm() / truth.norm() for x in (own, theirs))
        assert error < 1e-6 and error < 4 * common  # 1.0 with AVX-512, 2.3 on a machine of AVX2
    assert ours[2] == usual[2] > 0
    assert by_one_dnn(*inputs()[:2]) and not torch.equal(ours[0], usual[0])  # it was another way


def test_rows_do_not_know_how_many_others_there_are() -> None:
    x, weight, bias, _ = inputs()
    whole = linear(x, weight, bias)
    for count in (1, 2):
        assert torch.equal(linear(x[:count].clone(), weight, bias), whole[:count])


@pytest.mark.parametrize("name", ["small", "trained", "bfloat16", "float64"])
def test_all_others_go_as_torch_has_them(name: str) -> None:
    x, weight, bias, _ = inputs(getattr(torch, name, torch.float32))
    rows = len(weight) - (name == "small")
    weight, bias = weight[:rows], bias[:rows]
    weight.requires_grad_(name == "trained")
    assert not by_one_dnn(x, weight)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
