"""A frozen pre-norm transformer tower, run with as little work as its exact result allows.

`x` is the residual stream [N, T, W], kept in float32 (float64 in tests); matrix products run in the
tower's dtype. A `branch` is a trained part beside a block: it reads the block's ln_1 output and is
added to the block's output (MMA, Yang et al., CVPR 2024). Its shortcuts are exact:

* `fork`: the branch stands *beside* its block, so of the first block with a branch both the ln_1
  output and the frozen output are constants of the image.
* `last_row`, `last_rows`: of the last block only the pooled rows are read, CLS or EOT. With one
  query an image, W_k and W_v are applied to it and to its result in place of all tokens.
* `mask`: sequences that share their first tokens run as one tree, the common prefix once.
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


class Tower:
    """Blocks, final norm and projection of one encoder."""

    def __init__(
        self,
        blocks: list[Block],
        num_heads: int,
        final_norm: Norm,
        projection: Tensor | None,  # [W, D]
        *,
        quick_gelu: bool,
        dtype: torch.dtype,
    ) -> None:
        self.blocks = blocks
        self.num_heads = num_heads
        self.final_norm = final_norm
        self.projection = projection
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

    def run(
        self,
        x: Tensor,
        start: int,
        stop: int,
        branch: Branch | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Run blocks start .. stop - 1 on all tokens: [N, T, W] -> [N, T, W].

        mask: [T, T] bool, whether a token (row) reads another (column); None reads all.
        """
        for index in range(start, stop):
            block = self.blocks[index]
            h = self._normed(block.ln_1, x)
            x = x + self._attention(block, h, h, mask)
            x = x + self._mlp(block, x)
            if branch is not None:
                x = x + branch(index, h)
        return x

    def fork(self, x: Tensor, index: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (ln_1 output, output) of a block run without its branch."""
        h = self._normed(self.blocks[index].ln_1, x)
        return h, self.run(x, index, index + 1, mask=mask)

    def last_rows(
        self, x: Tensor, rows: Tensor, branch: Branch | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Run the last block for some tokens alone: [N, T, W], [C] -> [N, C, W]."""
        block = self.blocks[-1]
        h = self._normed(block.ln_1, x)
        own = h[:, rows]
        out = x[:, rows] + self._attention(block, own, h, None if mask is None else mask[rows])
        out = out + self._mlp(block, out)
        return out if branch is None else out + branch(self.depth - 1, own)

    def last_row(self, x: Tensor, branch: Branch | None = None) -> Tensor:
        """Run the last block for token 0 alone, reading all: [N, T, W] -> [N, W]."""
        block, width = self.blocks[-1], self.width
        h = self._normed(block.ln_1, x)
        q_weight, k_weight, v_weight = block.qkv_weight.view(3, self.num_heads, -1, width)
        q_bias, _, v_bias = block.qkv_bias.view(3, self.num_heads, -1)
        q = torch.einsum("nw,hdw->nhd", h[:, 0], q_weight) + q_bias
        q = torch.einsum("nhd,hdw->nhw", q * q.shape[-1] ** -0.5, k_weight)  # q . b_k: no matter
        attention = _softmax(q @ h.transpose(1, 2))  # [N, H, T]
        mixed = torch.einsum("nhw,hdw->nhd", attention @ h, v_weight) + v_bias
        out = x[:, 0] + F.linear(mixed.flatten(1), block.out_weight, block.out_bias)
        out = out + self._mlp(block, out)
        return out if branch is None else out + branch(self.depth - 1, h[:, :1])[:, 0]

    def head(self, row: Tensor) -> Tensor:
        """Map pooled rows [..., W] to unit vectors [..., D] in float32 or wider."""
        row = self.final_norm(row)
        return F.normalize(row if self.projection is None else row @ self.projection, dim=-1)

    def _normed(self, norm: Norm, x: Tensor) -> Tensor:
        return norm(x).to(self.dtype)

    def _mlp(self, block: Block, x: Tensor) -> Tensor:
        hidden = F.linear(self._normed(block.ln_2, x), block.fc_weight, block.fc_bias)
        return F.linear(self.activation(hidden), block.proj_weight, block.proj_bias)

    def _attention(self, block: Block, own: Tensor, h: Tensor, mask: Tensor | None) -> Tensor:
        """Let tokens `own` [N, C, W] read tokens `h` [N, T, W]; usually they are the same."""
        if own is h:
            qkv = F.linear(h, block.qkv_weight, block.qkv_bias)
            q, k, v = self._heads(qkv, 3)
        else:
            width = self.width
            (q,) = self._heads(F.linear(own, block.qkv_weight[:width], block.qkv_bias[:width]), 1)
            k, v = self._heads(F.linear(h, block.qkv_weight[width:], block.qkv_bias[width:]), 2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return F.linear(mixed.transpose(1, 2).flatten(2), block.out_weight, block.out_bias)

    def _heads(self, x: Tensor, parts: int) -> Tensor:
        """Split [N, T, parts * W] into [parts, N, H, T, W / H]."""
        return x.unflatten(2, (parts, self.num_heads, -1)).permute(2, 0, 3, 1, 4)


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(QUICK_GELU * x)


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis in float32 or wider, returned in the type of `scores`."""
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(dim=-1, dtype=wide).to(scores.dtype)
