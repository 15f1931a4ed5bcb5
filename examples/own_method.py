"""A method of your own: `python -m pfedmma_dist.train plugins=[examples/own_method.py]
method.name=tilted`, or a row of a sweep, examples/own_sweep.yaml.

Tilt: zero-shot CLIP with one bias per class, which the clients average, and a sharpness of each
client's own, which stays with it:

    logits_c = scale * exp(sharpness_k) * <image, z_c> + bias_c

Classes that nobody trains on have no bias. At C classes a client trains C + 1 numbers, and sends C.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import FINAL, Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods import register
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import ParamSpec, zeros


@dataclass(kw_only=True)
class TiltedOptions:
    """Options of Tilt."""

    pull: float = 0.01
    """Weight of the squared sharpness in the loss, which pulls it to CLIP's own."""

    def __post_init__(self) -> None:
        if self.pull < 0:
            raise ValueError(f"method.pull: {self.pull}; set 0 or more")


@register
class Tilted(Method):
    """Tilt: a shared bias per class and a private sharpness on top of zero-shot CLIP."""

    name = "tilted"
    Options = TiltedOptions
    neutral = ("bias", "sharpness")

    def __init__(self, options: TiltedOptions, dims: Dims, num_classes: int = 50) -> None:
        self.pull = options.pull
        self.specs = (
            ParamSpec("sharpness", (1,), zeros),
            ParamSpec("bias", (num_classes,), zeros, shared=True),
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Any:
        """Return unit vectors [1, C, D], sharpness [G, 1, 1] and biases [G, 1, C]."""
        own = params["sharpness"][:, :, None]
        none = torch.zeros(len(own), len(text.names), device=own.device)
        bias = params["bias"] if text.is_trained else none
        return text.plain[None], own, bias[:, None]

    def logits(
        self, params: dict[str, Tensor], classes: Any, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return logits [G, B, C]."""
        vectors, sharpness, bias = classes
        cosines = cosine_logits(encode(clip, images, FINAL), vectors, clip.scale)
        return sharpness.exp() * cosines + bias

    def penalty(self, params: dict[str, Tensor], classes: Any, step: Step) -> Tensor:
        """Return what keeps a client near CLIP's own sharpness [G]."""
        return self.pull * params["sharpness"].square().sum(dim=1)
