"""Attention by matrix products, where it is trained through in bfloat16 on a CPU."""

import pytest
import torch
import torch.nn.functional as F
from slow_form import random_clip
from torch import Tensor

from pfedmma_dist.clip import attention
from pfedmma_dist.clip.attention import attend

CAUSAL = torch.ones(37, 37, dtype=torch.bool).tril()
MASKS = {"none": None, "causal": CAUSAL, "of the last rows": CAUSAL[[5, 20, 36]]}


def inputs(mask: Tensor | None) -> list[Tensor]:
    """Return queries, keys, values and the gradient of what is read, scores up to about 10."""
    draw = torch.Generator().manual_seed(0)
    rows = 37 if mask is None else len(mask)
    shapes = [(2, 3, rows, 16), (2, 3, 37, 16), (2, 3, 37, 16), (2, 3, rows, 16)]
    return [2 * torch.randn(shape, generator=draw).bfloat16() for shape in shapes]


def passes(attention_of: object, mask: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
    """Return what is read, and the gradients of queries, keys and values."""
    *own, grad = [x.to(dtype) for x in inputs(mask)]
    own = [x.requires_grad_() for x in own]
    out = attention_of(*own, mask)
    return [out.detach(), *torch.autograd.grad(out, own, grad)]


@pytest.mark.parametrize("at_once", [1, 1 << 19])  # a head in each part; all in one
@pytest.mark.parametrize("which", MASKS)
def test_products_round_about_as_the_kernel_does(
    which: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kernel(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    monkeypatch.setattr(attention, "AT_ONCE", at_once)
    exact = passes(kernel, MASKS[which], torch.float64)
    theirs, ours = (passes(f, MASKS[which], torch.bfloat16) for f in (kernel, attend))
    for own, other, truth in zip(ours, theirs, exact, strict=True):
        assert own.dtype == torch.bfloat16 and own.shape == truth.shape
        error, usual = ((x.double() - truth).norm() / truth.norm() for x in (own, other))
        assert error < 0.006 and error < 2 * usual


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("longest", [36, 37])
def test_weights_are_kept_where_the_estimate_counts_them(
    dtype: torch.dtype, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "LONGEST", longest)
    kept = set()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.add(x.shape) or x, lambda x: x):
        passes(attend, None, dtype)
    tower = random_clip(dtype).image
    per_token = (tower.kept_bytes(1, 37) - tower.kept_bytes(1, 0)) / tower.depth
    is_kept = dtype == torch.bfloat16 and longest == 37
    assert ((6, 37, 37) in kept) == is_kept
    usual = 0 if dtype == torch.float32 else 37 * tower.num_heads * 2
    assert per_token == (usual if is_kept else 0)
    with torch.no_grad():
        *own, _ = inputs(None)
        assert torch.equal(attend(*own, None), F.scaled_dot_product_attention(*own))
