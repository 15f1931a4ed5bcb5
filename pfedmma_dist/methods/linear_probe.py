"""Linear probe from zero-shot weights: one vector per class that starts as its prompt's, averaged.

    logits_c = scale * <image, z_c + offset_c>

z_c is the unit class vector of data.template, frozen; the offset [C, D] is trained from zero, so
that it starts as zero-shot CLIP (the head of WiSE-FT, Wortsman et al., CVPR 2022). Weight decay so
pulls towards the prompt and not towards zero. ZS-LP of CLAP (Silva-Rodriguez et al., CVPR 2024)
makes the weights unit vectors, which `method.unit=true` does; its weights start as long as the text
tower leaves them, ours at 1. At 50 classes and D = 512 a client trains, sends and receives 25,600
numbers. Classes that nobody trains on have their prompts' vectors alone.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.share import Share
from pfedmma_dist.params import ParamSpec, zeros


@dataclass(kw_only=True)
class LinearProbeOptions:
    """Options of the linear probe."""

    unit: bool = False
    """Whether each weight is made a unit vector (CLAP); a plain linear layer's is not."""
    share: Share = Share.all
    """`all` averages the weights; `none` trains each client's alone."""


class LinearProbe(Method):
    """Linear probe: a weight per class, from zero-shot CLIP's on, averaged by FedAvg."""

    name = "linear_probe"
    Options = LinearProbeOptions
    neutral = ("offset",)

    def __init__(self, options: LinearProbeOptions, dims: Dims, num_classes: int = 50) -> None:
        self.unit = options.unit
        shape, shared = (num_classes, dims.embed_dim), options.share is Share.all
        self.specs = (ParamSpec("offset", shape, zeros, shared=shared),)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Return the weights of the trained classes [G, C, D], of others the prompts' [1, C, D]."""
        if not text.is_trained:
            return text.plain[None]
        weight = text.plain + params["offset"]
        return F.normalize(weight, dim=2) if self.unit else weight

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the weights [G, 1, C, D]."""
        return classes[:, None]
