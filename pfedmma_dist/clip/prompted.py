"""Prompted: learned vectors among the tokens of a tower, for several clients at once (VPT, IVLP).

They stand at fixed places of the stream, and are given at the input of one block or of several in
turn: each time they replace what the block below made of those before (Jia et al., ECCV 2022, and
Khattak et al., CVPR 2023, deep prompts). Where a place is behind the last token, they are appended.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Prompted = Callable[[int, Tensor], Tensor]
"""(block index, the stream [N, T, W] at its input) -> the stream that the block is given."""


def unprompted(block: int, x: Tensor) -> Tensor:
    """Leave the input of every block as it is."""
    return x


@dataclass(frozen=True)
class Prompts:
    """Vectors of G clients by block; a stream has N = G * n rows, those of a client together."""

    place: int  # of the first of them in the stream
    vectors: Mapping[int, Tensor]  # block -> [G, k, W], as they stand in the stream

    def __call__(self, block: int, x: Tensor) -> Tensor:
        """[N, T, W] -> the same with this block's vectors in their places, or behind all tokens."""
        if block not in self.vectors:
            return x
        vectors, behind = self.vectors[block], self.place + self.vectors[block].shape[1]
        each = vectors[:, None].expand(-1, x.shape[0] // len(vectors), -1, -1).flatten(0, 1)
        return torch.cat([x[:, : self.place], each.to(x.dtype), x[:, behind:]], dim=1)
