"""PromptFL (Guo et al., IEEE TMC 2023): CoOp's context vectors, averaged over clients by FedAvg.

One context of n vectors stands before every class name (CoOp, Zhou et al., IJCV 2022, class token
at the end); the loss is plain cross-entropy. At n = 16 and width 512 a client trains, sends and
receives 8,192 numbers.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one
from pfedmma_dist.methods.share import Share
from pfedmma_dist.params import ParamSpec, normal


@dataclass(kw_only=True)
class PromptFLOptions:
    """Options of PromptFL."""

    num_context: int = 16
    """Context vectors before the class name; 16 (pFedMMA, table of costs)."""
    share: Share = Share.all
    """`all` averages the context; `none` trains each client's alone (local CoOp)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")


class PromptFL(Method):
    """PromptFL: one learned text context, averaged by FedAvg."""

    name = "promptfl"
    Options = PromptFLOptions

    def __init__(self, options: PromptFLOptions, dims: Dims) -> None:
        shape = (options.num_context, dims.text_width)
        shared = options.share is Share.all
        self.specs = (ParamSpec("context", shape, normal(0.02), shared=shared),)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the prompts through the text tower: [G, C, D]."""
        return text.with_context(params["context"])

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors [G, 1, C, D]."""
        return classes[:, None]
