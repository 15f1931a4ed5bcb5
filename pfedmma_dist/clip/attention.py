"""Attention: tokens that read others, by the kernel that is quickest for their type and place."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LONGEST = 1024
"""Tokens read, up to which the weights of attention are kept for the backward pass: they are half
of what a block of a ViT-B keeps there, and grow with the square of the tokens."""

AT_ONCE = 1 << 19
"""Weights that are computed together, so that they stay in a core's own memory."""


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Let queries [N, H, C, E] read tokens, with keys and values [N, H, T, E]: [N, H, C, E].

    mask: [C, T] bool, whether a token (row) reads another (column); None reads all.
    """
    is_trained = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
    if is_trained and keeps_weights(q.dtype, q.device, k.shape[2]):
        return _ByProducts.apply(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def keeps_weights(dtype: torch.dtype, device: torch.device, num_tokens: int) -> bool:
    """Say whether training through so many tokens read keeps the weights [N, H, C, T].

    In bfloat16 on a CPU, where the backward pass of torch's kernel is slow: heads of 64 take twice
    as long as by matrix products, heads of 16 six times.
    """
    return dtype == torch.bfloat16 and device.type == "cpu" and num_tokens <= LONGEST


class _ByProducts(torch.autograd.Function):
    """Attention by matrix products, its scores and softmax in float32 as in torch's kernel."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        (*heads, _, width), num_tokens = q.shape, k.shape[2]
        q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        weights = q.new_empty(*q.shape[:2], num_tokens)
        barred = None if mask is None else torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
        for part in _parts(weights):
            scores = (q[part].float() * width**-0.5) @ k[part].float().mT
            if barred is not None:
                scores += barred
            weights[part] = scores.softmax(dim=-1)
        ctx.save_for_backward(q, k, v, weights)
        return (weights @ v).unflatten(0, heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        heads, scale, grad = grad.shape[:2], q.shape[-1] ** -0.5, grad.flatten(0, 1)
        found = [torch.empty_like(x) for x in (q, k, v)]
        for part in _parts(weights):
            own = weights[part]
            slope = (grad[part] @ v[part].mT).float().mul_(own)  # of the softmax
            slope.addcmul_(own, slope.sum(dim=-1, keepdim=True), value=-1)
            slope = slope.mul_(scale).to(q.dtype)
            sides = (slope, k), (slope.mT, q), (own.mT, grad)
            for into, (left, right) in zip(found, sides, strict=True):
                torch.bmm(left, right[part], out=into[part])
        return *(x.unflatten(0, heads) for x in found), None


def _parts(weights: Tensor) -> list[slice]:
    """Cut the heads of weights [N H, C, T] into parts of about AT_ONCE numbers."""
    step = max(1, AT_ONCE // weights[:1].numel())
    return [slice(start, start + step) for start in range(0, len(weights), step)]
