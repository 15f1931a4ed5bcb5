"""A frozen pre-norm transformer tower, run with as little work as its exact result allows.

`x` is the residual stream [N, T, W], kept in float32 (float64 in tests); matrix products run in the
tower's dtype. A `branch` is a trained part beside a block: it reads the block's ln_1 output and is
added to the block's output (MMA, Yang et al., CVPR 2024). Its shortcuts are exact:

* `fork`: the branch stands *beside* its block, so of the first block with a branch both the ln_1
  output and the frozen output are constants of the image.
* `last_row`: only one row of the last block is read (CLS or EOT), so one query is enough; W_k and
  W_v are then applied to that query and to its result in place of all tokens.
* `Prefixed`: under a causal mask the states of a common prefix are the same for all classes.
* QuickGELU x * sigmoid(1.702 x) = silu(1.702 x) / 1.702, the factors folded into the two matrices.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Branch = Callable[[int, Tensor], Tensor]
"""(block index, ln_1 output [N, T, W]) -> what is added to the block's output, of the same
shape."""

QUICK_GELU = 1.702


@dataclass(frozen=True)
class Norm:
    """A layer norm."""

    weight: Tensor
    bias: Tensor | None
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Block:
    """The weights of one block, in open_clip's shapes."""

    ln_1: Norm
    qkv_weight: Tensor  # [3W, W]
    qkv_bias: Tensor
    out_weight: Tensor  # [W, W]
    out_bias: Tensor
    ln_2: Norm
    fc_weight: Tensor  # [4W, W]
    fc_bias: Tensor
    proj_weight: Tensor  # [W, 4W]
    proj_bias: Tensor


@dataclass(frozen=True)
class Prefixed:
    """C sequences of M owners that share their first tokens."""

    prefix: Tensor  # [M, Pre, W]
    tails: Tensor  # [M * C, n, W]


class Tower:
    """Blocks, final norm and projection of one encoder."""

    def __init__(
        self,
        blocks: list[Block],
        num_heads: int,
        final_norm: Norm,
        projection: Tensor | None,  # [W, D]
        *,
        causal: bool,
        quick_gelu: bool,
        dtype: torch.dtype,
    ) -> None:
        self.blocks = blocks
        self.num_heads = num_heads
        self.final_norm = final_norm
        self.projection = projection
        self.causal = causal
        self.activation = _quick_gelu if quick_gelu else F.gelu
        self.dtype = dtype

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def width(self) -> int:
        """W."""
        return self.blocks[0].out_bias.numel()

    def fold_quick_gelu(self) -> None:
        """Turn QuickGELU into SiLU by folding its factor into the matrices around it."""
        if self.activation is not _quick_gelu:
            return
        for index, block in enumerate(self.blocks):
            folded = {
                "fc_weight": block.fc_weight * QUICK_GELU,
                "fc_bias": block.fc_bias * QUICK_GELU,
                "proj_weight": block.proj_weight / QUICK_GELU,
            }
            self.blocks[index] = Block(**{**vars(block), **folded})
        self.activation = F.silu

    def run(self, x: Tensor, start: int, stop: int, branch: Branch | None = None) -> Tensor:
        """Run blocks start .. stop - 1 on all tokens: [N, T, W] -> [N, T, W]."""
        for index in range(start, stop):
            block = self.blocks[index]
            h = self._normed(block.ln_1, x)
            x = x + self._attention(block, h)
            x = x + self._mlp(block, x)
            if branch is not None:
                x = x + branch(index, h)
        return x

    def fork(self, x: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Return (ln_1 output, output) of a block run without its branch."""
        return self._normed(self.blocks[index].ln_1, x), self.run(x, index, index + 1)

    def last_row(self, x: Tensor, branch: Branch | None = None) -> Tensor:
        """Run the last block for token 0 alone: [N, T, W] -> [N, W]."""
        block = self.blocks[-1]
        h = self._normed(block.ln_1, x)
        query = self._absorbed_query(block, h[:, 0])  # [N, H, W]
        attention = _softmax(query @ h.transpose(1, 2))  # [N, H, T]
        return self._finish_row(block, x[:, 0], h[:, 0], attention @ h, branch)

    def head(self, row: Tensor) -> Tensor:
        """Map pooled rows [N, W] to unit vectors [N, D] in float32 or wider."""
        return F.normalize(self.project(row), dim=-1)

    def project(self, row: Tensor) -> Tensor:
        """Map pooled rows [N, W] to the joint space [N, D]."""
        row = self.final_norm(row)
        return row if self.projection is None else row @ self.projection

    # The same three steps for sequences with a common prefix.

    def run_prefixed(
        self, x: Prefixed, start: int, stop: int, branch: Branch | None = None
    ) -> Prefixed:
        """Run blocks start .. stop - 1, as if each tail stood behind its owner's prefix."""
        for index in range(start, stop):
            block = self.blocks[index]
            h = self._normed_prefixed(block, x)
            shift, shift_tails = self._prefixed_attention(block, h)
            prefix = x.prefix + shift
            tails = x.tails + shift_tails
            prefix = prefix + self._mlp(block, prefix)
            tails = tails + self._mlp(block, tails)
            if branch is not None:
                prefix = prefix + branch(index, h.prefix)
                tails = tails + branch(index, h.tails)
            x = Prefixed(prefix, tails)
        return x

    def fork_prefixed(self, x: Prefixed, index: int) -> tuple[Prefixed, Prefixed]:
        """Return (ln_1 output, output) of a block run without its branch."""
        return self._normed_prefixed(self.blocks[index], x), self.run_prefixed(x, index, index + 1)

    def last_row_prefixed(self, x: Prefixed, row: Tensor, branch: Branch | None = None) -> Tensor:
        """Run the last block for token `row` [M * C] of each tail alone: -> [M * C, W]."""
        block = self.blocks[-1]
        h = self._normed_prefixed(block, x)
        owners, length = h.prefix.shape[:2]
        which = torch.arange(len(row), device=row.device)
        own, own_h = x.tails[which, row], h.tails[which, row]
        query = self._absorbed_query(block, own_h)  # [M * C, H, W]
        ahead = torch.arange(h.tails.shape[1], device=row.device) > row[:, None]  # causal mask
        scores = torch.cat(
            [
                (query.reshape(owners, -1, self.width) @ h.prefix.transpose(1, 2)).view(
                    len(row), self.num_heads, length
                ),
                (query @ h.tails.transpose(1, 2)).masked_fill(ahead[:, None], float("-inf")),
            ],
            dim=2,
        )
        attention = _softmax(scores)
        on_prefix = attention[..., :length].reshape(owners, -1, length) @ h.prefix
        mixed = on_prefix.view(query.shape) + attention[..., length:] @ h.tails
        return self._finish_row(block, own, own_h, mixed, branch)

    # The parts of a block.

    def _normed(self, norm: Norm, x: Tensor) -> Tensor:
        return norm(x).to(self.dtype)

    def _normed_prefixed(self, block: Block, x: Prefixed) -> Prefixed:
        return Prefixed(self._normed(block.ln_1, x.prefix), self._normed(block.ln_1, x.tails))

    def _mlp(self, block: Block, x: Tensor) -> Tensor:
        hidden = F.linear(self._normed(block.ln_2, x), block.fc_weight, block.fc_bias)
        return F.linear(self.activation(hidden), block.proj_weight, block.proj_bias)

    def _attention(self, block: Block, h: Tensor) -> Tensor:
        num, length, width = h.shape
        qkv = F.linear(h, block.qkv_weight, block.qkv_bias)
        q, k, v = qkv.view(num, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        mixed = mixed.transpose(1, 2).reshape(num, length, width)
        return F.linear(mixed, block.out_weight, block.out_bias)

    def _prefixed_attention(self, block: Block, h: Prefixed) -> tuple[Tensor, Tensor]:
        """Attend from the prefix to itself, and from each tail to the prefix and to itself."""
        owners, pre, width = h.prefix.shape
        num, length = h.tails.shape[:2]
        shape = (owners, num // owners, length, 3, self.num_heads, -1)
        tails = F.linear(h.tails, block.qkv_weight, block.qkv_bias).view(shape)
        q, k, v = tails.permute(3, 0, 4, 1, 2, 5)  # [M, H, C, n, d]
        prefix = F.linear(h.prefix, block.qkv_weight, block.qkv_bias)
        prefix = prefix.view(owners, pre, 3, self.num_heads, -1)
        q_pre, k_pre, v_pre = prefix.permute(2, 0, 3, 1, 4)  # [M, H, Pre, d]

        mixed_pre = F.scaled_dot_product_attention(q_pre, k_pre, v_pre, is_causal=True)

        q = q * q.shape[-1] ** -0.5
        on_prefix = q.flatten(2, 3) @ k_pre.transpose(2, 3)  # [M, H, C * n, Pre]
        ahead = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
        on_self = (q @ k.transpose(3, 4)).masked_fill(ahead, float("-inf"))
        attention = _softmax(torch.cat([on_prefix.view(*q.shape[:4], pre), on_self], dim=-1))
        mixed = attention[..., pre:] @ v
        mixed = mixed + (attention[..., :pre].flatten(2, 3) @ v_pre).view_as(mixed)

        mixed_pre = mixed_pre.transpose(1, 2).reshape(owners, pre, width)
        mixed = mixed.permute(0, 2, 3, 1, 4).reshape(num, length, width)
        out = block.out_weight, block.out_bias
        return F.linear(mixed_pre, *out), F.linear(mixed, *out)

    def _absorbed_query(self, block: Block, h_row: Tensor) -> Tensor:
        """Return W_k^T q per head, scaled: [N, W] -> [N, H, W]; q . b_k is the same for all
        keys."""
        width = self.width
        q = F.linear(h_row, block.qkv_weight[:width], block.qkv_bias[:width])
        q = q.view(len(q), self.num_heads, -1) * (width // self.num_heads) ** -0.5
        key = block.qkv_weight[width : 2 * width].view(self.num_heads, -1, width)
        return torch.einsum("nhd,hdw->nhw", q, key)

    def _finish_row(
        self, block: Block, row: Tensor, h_row: Tensor, mixed: Tensor, branch: Branch | None
    ) -> Tensor:
        """Apply W_v to the mixed inputs [N, H, W], then the rest of the block to one row [N, W]."""
        width = self.width
        value = block.qkv_weight[2 * width :].view(self.num_heads, -1, width)
        mixed = torch.einsum("nhw,hdw->nhd", mixed, value).flatten(1)
        mixed = mixed + block.qkv_bias[2 * width :]
        out = row + F.linear(mixed, block.out_weight, block.out_bias)
        out = out + self._mlp(block, out)
        if branch is not None:
            out = out + branch(self.depth - 1, h_row[:, None])[:, 0]
        return out


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(QUICK_GELU * x)


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis in float32 or wider, returned in the type of `scores`."""
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(dim=-1, dtype=wide).to(scores.dtype)
