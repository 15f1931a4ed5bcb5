"""Own-class prior: zero-shot CLIP and one number per class, the client's own; nothing is sent.

    logits_c = scale * <image, class_c> + b_c

It learns nothing but which classes a client has, so what a personal method scores above it on
Local is what the method has learned of images. No paper has this row (ours). b is trained like any
parameter, from zero, or counted at once from the client's labels,

    b_c = tau * log((n_c + 1) / (n + C)),

which is the prior of a Bayes classifier with one made-up image per class. On classes that nobody
trains on b is zero.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.params import ParamSpec, zeros


@dataclass(kw_only=True)
class OwnPriorOptions:
    """None."""


@dataclass(kw_only=True)
class CountedPriorOptions:
    """Options of the counted prior."""

    tau: float = 1.0
    """Weight of the logarithm; 1 is Bayes' rule."""

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise ValueError(f"method.tau: {self.tau}; set a positive weight, such as 1")


class OwnPrior(Method):
    """Own-class prior: zero-shot CLIP and a client's own bias per class, trained; none is sent."""

    name = "own_prior"
    Options: ClassVar[type] = OwnPriorOptions
    neutral = ("bias",)

    def __init__(self, options: Any, dims: Dims, num_classes: int = 50) -> None:
        self.specs = (ParamSpec("bias", (num_classes,), zeros),)

    def classes(
        self, params: dict[str, Tensor], prepared: Any, text: ClassText
    ) -> tuple[Tensor, Tensor]:
        """Return the untouched class vectors [1, C, D] and what is added to their logits [G, C]."""
        bias = params["bias"]
        if not text.is_trained:
            bias = bias.new_zeros(len(bias), len(text.names))
        return text.plain[None], bias

    def logits(
        self,
        params: dict[str, Tensor],
        classes: tuple[Tensor, Tensor],
        images: Tensor,
        clip: FrozenCLIP,
    ) -> Tensor:
        """Add the prior to zero-shot logits: [G, B, C]."""
        vectors, bias = classes
        final = encode(clip, images, self.images)
        return cosine_logits(final, vectors, clip.scale) + bias[:, None]


class CountedPrior(OwnPrior):
    """Own-class prior, counted: from a client's labels, without a step; nothing is sent."""

    name = "own_prior_counted"
    Options = CountedPriorOptions
    counts = True

    def __init__(self, options: CountedPriorOptions, dims: Dims, num_classes: int = 50) -> None:
        super().__init__(options, dims, num_classes)
        self.tau, self.num_classes = options.tau, num_classes

    def begin(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the bias [C] of a client with these labels."""
        often = torch.bincount(labels, minlength=self.num_classes)
        return {"bias": self.tau * log_prior(often)}


def log_prior(often: Tensor) -> Tensor:
    """Return the logarithm of each class's share [C], from counts [C] and one more of each."""
    return torch.log((often.float() + 1) / (often.sum() + len(often)))
