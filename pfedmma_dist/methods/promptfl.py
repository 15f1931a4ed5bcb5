"""PromptFL (Guo et al., IEEE TMC 2023): CoOp's context vectors, averaged over clients by FedAvg.

One context of n vectors stands before every class name (CoOp, Zhou et al., IJCV 2022, class token
at the end); the loss is plain cross-entropy. At n = 16 and width 512 a client trains, sends and
receives 8,192 numbers.
"""

from dataclasses import dataclass

from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompts import OnePrompt
from pfedmma_dist.methods.share import Share


@dataclass(kw_only=True)
class PromptFLOptions:
    """Options of PromptFL."""

    num_context: int = 16
    """Context vectors before the class name; 16 (pFedMMA, table of costs)."""
    share: Share = Share.all
    """`all` averages the context; `none` trains each client's alone (local CoOp)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")


class PromptFL(OnePrompt):
    """PromptFL: one learned text context, averaged by FedAvg."""

    name = "promptfl"
    Options = PromptFLOptions
