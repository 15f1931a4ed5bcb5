"""FedOTP (Li et al., CVPR 2024): two prompts share the patches of an image by optimal transport.

A client has N = 2 prompts, a common one that is averaged and its own (or k common ones and m of its
own, `num_common` and `num_own`; the released code has one of each). A logit is the similarity of
patches and prompts under the plan that moves the mass gamma of an image's patches to the prompts of
a class at the least cost (methods/transport.py: `unbalanced`; `sinkhorn` has every patch give its
share). At n = 16 and width 512 a client trains 16,384 numbers and exchanges 8,192.

The released code stops all problems of a batch when their mean change is below the threshold, so
that an image's logits depend on the others. Here a problem stops for itself.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from pfedmma_dist.clip.kinds import Kinds
from pfedmma_dist.clip.model import PATCHES, Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.method import Method, at_least_one, encode
from pfedmma_dist.methods.prompts import all_prompts, common_and_own
from pfedmma_dist.methods.share import CommonShare
from pfedmma_dist.methods.towers import need_vit
from pfedmma_dist.methods.transport import TransportOptions, transported


@dataclass(kw_only=True)
class FedOTPOptions(TransportOptions):
    """Options of FedOTP."""

    num_context: int = 16
    """Context vectors of each prompt; 16 (pFedMMA, table of costs), 4 on CIFAR (FedOTP)."""
    share: CommonShare = CommonShare.common
    """What is averaged: the `common` prompt (the method), `all` both (FedAvg), or `none` (local
    prompts)."""
    num_common: int = key(1, since=1)
    """Common prompts; 1 (released code)."""
    num_own: int = key(1, since=1)
    """A client's own prompts; 1 (released code), 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "num_context", "num_common")
        if self.num_own < 0:
            raise ValueError(f"method.num_own: {self.num_own}; set 0 or more")


class FedOTP(Method):
    """FedOTP: a common and an own prompt, matched with the patches by optimal transport."""

    name = "fedotp"
    Options: ClassVar[type] = FedOTPOptions
    first_round_all = True
    images: Kinds = PATCHES

    def __init__(self, options: FedOTPOptions, dims: Dims) -> None:
        need_vit(f"{self.name} reads the patch tokens of", dims)
        self.options = options
        self.specs = common_and_own(
            options.num_context, dims.text_width, options.share, options.num_common, options.num_own
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run all prompts through the text tower: [G, N, C, D]."""
        return all_prompts(params, text)

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors of all prompts [G, 1, N C, D]."""
        return classes.flatten(1, 2)[:, None]

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Transport the patches of every image to the prompts of every class: [G, B, C]."""
        patches = encode(clip, images, self.images)  # [G, B, M, D]
        return transported(classes, patches, clip.scale, self.options)
