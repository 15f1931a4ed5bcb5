"""KgCoOp (Yao et al., CVPR 2023): context that is held near the hand-written prompt, averaged.

With t_c the unit class vectors of the learned context, and z_c those of data.template, frozen,

    loss = CE(scale * <image, t_c>) + weight * (1 - mean over classes of <t_c, z_c>)

z_c is computed once, so that a step costs what PromptFL's does. At n = 16 and width 512 a client
trains, sends and receives 8,192 numbers; the paper's own n = 4 starts as "a photo of a" (there
the second term begins at its least, without a gradient). The published class also builds a bias, a
net and an adapter that never run.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompts import OnePrompt, check_words
from pfedmma_dist.methods.share import Share
from pfedmma_dist.methods.step import Step


@dataclass(kw_only=True)
class KgCoOpOptions:
    """Options of KgCoOp."""

    num_context: int = 16
    """Context vectors before the class name; 16 as PromptFL has, 4 in the paper."""
    ctx_init: str | None = None
    """Words that the context starts as, each of one token, in place of num_context draws from
    N(0, 0.02^2); "a photo of a" in the paper."""
    weight: float = 8.0
    """Weight of the distance to the hand-written prompt; 8 (paper, scripts). The default of the
    released configuration is 1."""
    share: Share = Share.all
    """`all` averages the context; `none` trains each client's alone (local KgCoOp)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        check_words(self.ctx_init)
        if not self.weight >= 0:
            raise ValueError(f"method.weight: {self.weight}; set 0 or more, such as 8")


class KgCoOp(OnePrompt):
    """KgCoOp: a learned text context, drawn to the hand-written one and averaged by FedAvg."""

    name = "kgcoop"
    Options: ClassVar[type] = KgCoOpOptions

    def __init__(self, options: Any, dims: Dims) -> None:
        """options: with `weight`, and those of the prompt."""
        super().__init__(options, dims, options.ctx_init)

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return the weighted distance [G] to the hand-written prompt."""
        near = (classes * step.text.plain).sum(dim=2).mean(dim=1)  # of unit vectors: cosines
        return self.options.weight * (1 - near)
