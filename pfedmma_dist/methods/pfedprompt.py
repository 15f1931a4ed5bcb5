"""pFedPrompt (Guo et al., WWW 2023): an averaged prompt, and a cache that each client keeps.

    logits_c = scale * <x, t_c> + alpha * sum over keys k of class c of exp(-beta (1 - <x, k>))

t_c are the unit class vectors of a context of n vectors that all clients learn and FedAvg averages
(PromptFL); the keys are a client's own training images (own_images.py), filled before its first
round and not trained: an attention without parameters. At n = 16 and width 512 a client trains,
sends and receives 8,192 numbers. Other classes than the trained ones have the prompt alone.

The paper's code was never released. The votes in Tip-Adapter's form, and their part in the logits
of training as of scores, are our reading of it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods import own_images
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompts import context
from pfedmma_dist.methods.tip_adapter import TipAdapter, TipAdapterOptions


@dataclass(kw_only=True)
class PFedPromptOptions(TipAdapterOptions):
    """Options of pFedPrompt."""

    num_context: int = 16
    """Context vectors before the class name; 16 as PromptFL has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "num_context")


class PFedPrompt(TipAdapter):
    """pFedPrompt: a text context, averaged by FedAvg, and votes of a client's own images."""

    name = "pfedprompt"
    Options: ClassVar[type] = PFedPromptOptions
    neutral = ()
    counts = False

    def __init__(
        self, options: PFedPromptOptions, dims: Dims, num_classes: int = 50, num_images: int = 80
    ) -> None:
        super().__init__(options, dims, num_classes, num_images)
        own = own_images.parts(num_images, dims.embed_dim, trained=False)
        self.specs = (context(None, options.num_context, dims.text_width, shared=True), *own)

    def classes(
        self, params: dict[str, Tensor], prepared: Any, text: ClassText
    ) -> tuple[Tensor, bool]:
        """Return the prompts' class vectors [G, C, D], and whether keys have anything to say."""
        return text.with_context(params["context"]), text.is_trained

    def representation(
        self,
        params: dict[str, Tensor],
        classes: tuple[Tensor, bool],
        images: Tensor,
        clip: FrozenCLIP,
    ) -> Tensor:
        """Return the class vectors [G, 1, C, D]."""
        return classes[0][:, None]
