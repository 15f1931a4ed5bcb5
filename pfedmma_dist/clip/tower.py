"""A frozen pre-norm transformer tower, run with as little work as its exact result allows.

`x` is the residual stream [N, T, W], kept in float32 (float64 in tests); matrix products run in the
tower's dtype. What is trained in a tower stands at one of three places. A `branch` is beside a
block: it reads the block's ln_1 output and is added to the block's output (MMA, Yang et al., CVPR
2024). `inside` are low-rank terms beside the matrices of a block's attention (LoRA, Hu et al., ICLR
2022). `prompts` are tokens of their own, given at a block's input (VPT, Jia et al., ECCV 2022). The
shortcuts are exact:

* `fork`: the branch stands *beside* its block, so of the first block with a branch both the ln_1
  output and the frozen output are constants of the image. Of the first block with a part inside,
  or with prompts, its input is.
* `last_row`, `last_rows`: of the last block only the pooled rows are read, CLS or EOT. With one
  query an image, W_k and W_v, low-rank terms included, are applied to it and to its result in
  place of all tokens.
* `mask`: sequences that share their first tokens run as one tree, the common prefix once.
* QuickGELU x * sigmoid(1.702 x) = silu(1.702 x) / 1.702, the factors folded into the two matrices.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.attention import attend, keeps_weights
from pfedmma_dist.clip.block import Block, Norm
from pfedmma_dist.clip.linear import linear
from pfedmma_dist.clip.low_rank import Inside, LowRank, nothing_inside
from pfedmma_dist.clip.prompted import Prompted, unprompted

Branch = Callable[[int, Tensor], Tensor]
"""(block index, ln_1 output [N, T, W]) -> what is added to the block's output, of the same
shape."""

QUICK_GELU = 1.702


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
        self.activation: Callable[[Tensor], Tensor] = _quick_gelu if quick_gelu else F.gelu
        self.dtype = dtype

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def width(self) -> int:
        """W."""
        return self.blocks[0].out_bias.numel()

    def kept_bytes(self, num_tokens: int, num_read: int) -> int:
        """Estimate what all blocks over this many tokens keep for the backward pass.

        By token and block: the inputs of two norms; queries, keys, values, their mix and the hidden
        units, which are four times as wide; and of each head, where attention keeps its weights,
        one for each of the `num_read` tokens of a sequence.
        """
        wide = torch.promote_types(self.dtype, torch.float32)
        per_token = self.width * (2 * wide.itemsize + 8 * self.dtype.itemsize)
        if keeps_weights(self.dtype, self.blocks[0].out_bias.device, num_read):
            per_token += self.num_heads * num_read * self.dtype.itemsize
        return num_tokens * self.depth * per_token

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

    def swap_activation(self) -> str:
        """Take GELU for QuickGELU, or the other way round, and return the name of what it has now;
        only where nothing has been folded."""
        quick = self.activation is _quick_gelu
        self.activation = F.gelu if quick else _quick_gelu
        return "GELU" if quick else "QuickGELU"

    def run(
        self,
        x: Tensor,
        start: int,
        stop: int,
        branch: Branch | None = None,
        mask: Tensor | None = None,
        inside: Inside = nothing_inside,
        prompts: Prompted = unprompted,
    ) -> Tensor:
        """Run blocks start .. stop - 1 on all tokens: [N, T, W] -> [N, T, W].

        mask: [T, T] bool, whether a token (row) reads another (column), or what is added to the
        scores of attention; None reads all.
        """
        for index in range(start, stop):
            block, x = self.blocks[index], prompts(index, x)
            h = self._normed(block.ln_1, x)
            x = x + self._attention(block, h, h, mask, inside(index))
            x = x + self._mlp(block, x)
            if branch is not None:
                x = x + branch(index, h)
        return x

    def fork(self, x: Tensor, index: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (ln_1 output, output) of a block run without its branch."""
        h = self._normed(self.blocks[index].ln_1, x)
        return h, self.run(x, index, index + 1, mask=mask)

    def last_rows(
        self,
        x: Tensor,
        rows: Tensor,
        branch: Branch | None = None,
        mask: Tensor | None = None,
        inside: Inside = nothing_inside,
        prompts: Prompted = unprompted,
    ) -> Tensor:
        """Run the last block for some tokens alone: [N, T, W], [C] -> [N, C, W].

        mask: [C, T], theirs.
        """
        block, terms = self.blocks[-1], inside(self.depth - 1)
        x = prompts(self.depth - 1, x)
        h = self._normed(block.ln_1, x)
        own = h[:, rows]
        out = x[:, rows] + self._attention(block, own, h, mask, terms)
        out = out + self._mlp(block, out)
        return out if branch is None else out + branch(self.depth - 1, own)

    def last_row(
        self,
        x: Tensor,
        branch: Branch | None = None,
        inside: Inside = nothing_inside,
        prompts: Prompted = unprompted,
    ) -> Tensor:
        """Run the last block for token 0 alone, reading all: [N, T, W] -> [N, W]."""
        block, width, terms = self.blocks[-1], self.width, inside(self.depth - 1)
        x = prompts(self.depth - 1, x)
        if any(term.drop for term in terms.values()):  # every token loses inputs of its own
            first = torch.zeros(1, dtype=torch.int64, device=x.device)
            return self.last_rows(x, first, branch, inside=inside)[:, 0]
        h = self._normed(block.ln_1, x)
        q_weight, k_weight, v_weight = block.qkv_weight.view(3, self.num_heads, -1, width)
        q_bias, _, v_bias = block.qkv_bias.view(3, self.num_heads, -1)
        q = torch.einsum("nw,hdw->nhd", h[:, 0], q_weight) + q_bias
        if "q" in terms:
            q = q + terms["q"](h[:, :1]).view(q.shape)
        q = q * q.shape[-1] ** -0.5
        asked = torch.einsum("nhd,hdw->nhw", q, k_weight)  # q . b_k: no matter
        if "k" in terms:
            asked = asked + terms["k"].back_of_heads(q)
        read = _softmax(asked @ h.transpose(1, 2)) @ h  # [N, H, W]
        mixed = torch.einsum("nhw,hdw->nhd", read, v_weight) + v_bias
        if "v" in terms:
            mixed = mixed + terms["v"].of_heads(read)
        out = x[:, 0] + self._merge(block, mixed.flatten(1)[:, None], terms)[:, 0]
        out = out + self._mlp(block, out)
        return out if branch is None else out + branch(self.depth - 1, h[:, :1])[:, 0]

    def head(self, row: Tensor, *, unit: bool = True) -> Tensor:
        """Map pooled rows [..., W] to vectors [..., D] in float32 or wider, of length 1 unless they
        are to be left as they are."""
        row = self.final_norm(row)
        row = row if self.projection is None else row @ self.projection
        return F.normalize(row, dim=-1) if unit else row

    def _normed(self, norm: Norm, x: Tensor) -> Tensor:
        return norm(x).to(self.dtype)

    def _mlp(self, block: Block, x: Tensor) -> Tensor:
        hidden = linear(self._normed(block.ln_2, x), block.fc_weight, block.fc_bias)
        return linear(self.activation(hidden), block.proj_weight, block.proj_bias)

    def _attention(
        self,
        block: Block,
        own: Tensor,
        h: Tensor,
        mask: Tensor | None,
        terms: Mapping[str, LowRank],
    ) -> Tensor:
        """Let tokens `own` [N, C, W] read tokens `h` [N, T, W]; usually they are the same."""
        weight, bias, width = block.qkv_weight, block.qkv_bias, self.width
        if own is h:
            q, k, v = self._maps(h, weight, bias, "qkv", terms)
        else:
            (q,) = self._maps(own, weight[:width], bias[:width], "q", terms)
            k, v = self._maps(h, weight[width:], bias[width:], "kv", terms)
        mixed = attend(q, k, v, mask)
        return self._merge(block, mixed.transpose(1, 2).flatten(2), terms)

    def _maps(
        self, x: Tensor, weight: Tensor, bias: Tensor, names: str, terms: Mapping[str, LowRank]
    ) -> list[Tensor]:
        """Map tokens [N, T, W] to queries, keys or values [N, H, T, W / H], as named."""
        parts = linear(x, weight, bias).chunk(len(names), dim=2)
        pairs = zip(names, parts, strict=True)
        added = [part + terms[name](x) if name in terms else part for name, part in pairs]
        return [part.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in added]

    def _merge(self, block: Block, mixed: Tensor, terms: Mapping[str, LowRank]) -> Tensor:
        """Map what all heads have read [N, T, W] to what attention adds to the stream."""
        out = linear(mixed, block.out_weight, block.out_bias)
        return out + terms["o"](mixed) if "o" in terms else out


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(QUICK_GELU * x)


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis in float32 or wider, returned in the type of `scores`."""
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(dim=-1, dtype=wide).to(scores.dtype)
