"""PromptFolio (Pan et al., NeurIPS 2024): a portfolio of a common prompt and a client's own.

A client has two contexts, one that is averaged and one of its own. With g_c and l_c the unit class
vectors of each, the class vectors are their mixture, which is not normalised again,

    t_c = (1 - theta) g_c + theta l_c          logit = scale * <image, t_c>

and the loss is plain cross-entropy. theta is fixed: the paper shows that one between 0 and 1 does
best, as in the theory of portfolios, where what all clients learn and what each of them learns are
two assets. At n = 16 and width 512 a client trains 16,384 numbers and exchanges 8,192.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one
from pfedmma_dist.methods.prompts import all_prompts, common_and_own
from pfedmma_dist.methods.share import CommonShare


@dataclass(kw_only=True)
class PromptFolioOptions:
    """Options of PromptFolio."""

    num_context: int = 16
    """Context vectors of each prompt; 16 as PromptFL has, 8 in the released code."""
    theta: float = 0.2
    """Weight of a client's own prompt; 0.2 (FLiP), 0.4 in the released code (`frac_p`)."""
    share: CommonShare = CommonShare.common
    """What is averaged: the `common` prompt (the method), `all` both (FedAvg), or `none` (local
    prompts)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        if not 0 <= self.theta <= 1:
            raise ValueError(f"method.theta: {self.theta}; set a share from 0 to 1, such as 0.2")


class PromptFolio(Method):
    """PromptFolio: class vectors of a common and an own prompt, mixed."""

    name = "promptfolio"
    Options = PromptFolioOptions

    def __init__(self, options: PromptFolioOptions, dims: Dims) -> None:
        self.theta = options.theta
        self.specs = common_and_own(options.num_context, dims.text_width, options.share)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run both prompts through the text tower, and mix: [G, C, D], shorter than 1."""
        common, own = all_prompts(params, text).unbind(dim=1)
        return (1 - self.theta) * common + self.theta * own

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors [G, 1, C, D]."""
        return classes[:, None]
