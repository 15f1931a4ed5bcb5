"""Trained low-rank terms beside frozen matrices, for several clients at once (LoRA)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LowRank:
    """A trained matrix up @ down of each of G clients, to be added to a frozen one.

    Its inputs have N = G * n rows, those of a client side by side.
    """

    down: Tensor  # [G, R, in]
    up: Tensor  # [G, out, R]
    drop: Callable[[Tensor], Tensor] | None = None
    """Inputs [G, n * T, in] -> what is left of them in a step of training; None: all is."""

    def __call__(self, x: Tensor) -> Tensor:
        """[N, T, in] -> [N, T, out]."""
        rows = x.reshape(len(self.down), -1, x.shape[-1])
        rows = rows if self.drop is None else self.drop(rows)
        return (rows @ self.down.mT @ self.up.mT).view(*x.shape[:2], -1)

    def of_heads(self, x: Tensor) -> Tensor:
        """Map a vector per head [N, H, in] to the head's own part of the output [N, H, out / H]."""
        low = x.unflatten(0, (len(self.down), -1)) @ self.down.mT[:, None]  # [G, n, H, R]
        up = self.up.unflatten(1, (x.shape[1], -1))
        return torch.einsum("gnhr,ghdr->gnhd", low, up).flatten(0, 1)

    def back_of_heads(self, x: Tensor) -> Tensor:
        """Apply the transpose of `of_heads`: [N, H, out / H] -> [N, H, in]."""
        up = self.up.unflatten(1, (x.shape[1], -1))
        low = torch.einsum("gnhd,ghdr->gnhr", x.unflatten(0, (len(up), -1)), up)
        return (low @ self.down[:, None]).flatten(0, 1)


Inside = Callable[[int], Mapping[str, LowRank]]
"""Block index -> what is added to its maps to queries, keys, values and output: "q" "k" "v" "o"."""


def nothing_inside(block: int) -> Mapping[str, LowRank]:
    """Leave the attention of every block as it is."""
    return {}
