"""Block: the weights of one block of a tower, and of a norm."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


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
