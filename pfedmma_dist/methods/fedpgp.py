"""FedPGP (Cui et al., ICML 2024): a global prompt, and a personal offset of low rank to it.

A client's context is p = sigma + U V: sigma [n, W] is averaged, U [n, b] and V [b, W] stay. Beside
the cross-entropy of the prompt's class vectors z_p, training contrasts those of sigma alone, z_s:
they are drawn to the frozen ones of a text without any training, z_0, and driven off the personal
ones,

    loss = CE(scale * image . z_p)
           + mu * mean over classes of softplus((cos(z_s, z_p) - cos(z_0, z_s)) / temperature)

which is -log softmax([cos(z_0, z_s), cos(z_s, z_p)] / temperature)[0]. Both z_s and z_p carry
gradients, z_0 is computed once, and scores read z_p alone. At n = 16, b = 8 and width 512 a client
trains 8,192 + 4,224 = 12,416 numbers and exchanges 8,192.

The released script stacks two such prompts along the classes, of which the second never holds a
label: it adds C logits that only a wrong answer can have. There is one prompt here.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import ParamSpec, normal


class Anchor(Enum):
    """Where the frozen class vectors z_0 come from."""

    placeholder = "placeholder"
    photo = "photo"


class ContextShare(Enum):
    """Which parts of the prompt cross the network."""

    sigma = ("sigma",)
    all = ("sigma", "u", "v")
    none = ()


@dataclass(kw_only=True)
class FedPGPOptions:
    """Options of FedPGP."""

    num_context: int = 16
    """Context vectors before the class name; 16 (pFedMMA, table of costs)."""
    bottleneck: int = 8
    """Rank b of the personal offset; 8 (pFedMMA, table of costs)."""
    mu: float = 0.5
    """Weight of the contrastive term; 0.5 (pFedMMA's scripts of FedPGP)."""
    temperature: float = 0.5
    """Temperature of the contrastive term; 0.5 (released code)."""
    anchor: Anchor = Anchor.placeholder
    """Prompt of z_0: `placeholder`, "X X ... X name." with n times X (released code), or `photo`,
    the one of data.template, by default "a photo of a name." (the paper's text)."""
    share: ContextShare = ContextShare.sigma
    """What is averaged: `sigma` the global prompt (the method), `all` U and V too (FedAvg), `none`
    nothing (local prompts)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context", "bottleneck")
        if not self.mu >= 0:
            raise ValueError(f"method.mu: {self.mu}; set 0 or more, such as 0.5")
        if not self.temperature > 0:
            raise ValueError(f"method.temperature: {self.temperature}; set more than 0")


class FedPGP(Method):
    """FedPGP: a prompt of a shared part and a personal offset of low rank."""

    name = "fedpgp"
    Options = FedPGPOptions
    first_round_all = True

    def __init__(self, options: FedPGPOptions, dims: Dims) -> None:
        self.options = options
        rank, shared = options.bottleneck, options.share.value
        shapes = {
            "sigma": (options.num_context, dims.text_width),
            "u": (options.num_context, rank),
            "v": (rank, dims.text_width),
        }
        self.specs = tuple(
            ParamSpec(name, shape, normal(0.02), shared=name in shared)
            for name, shape in shapes.items()
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the personal prompts through the text tower: z_p [G, C, D]."""
        return text.with_context(params["sigma"] + params["u"] @ params["v"])

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors z_p [G, 1, C, D]."""
        return classes[:, None]

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return the contrastive term [G]; of its text passes that of sigma alone is run here."""
        text = step.text
        general = text.with_context(params["sigma"])  # z_s [G, C, D]
        if self.options.anchor is Anchor.placeholder:
            frozen = text.placeholder(self.options.num_context)
        else:
            frozen = text.plain
        excess = (general * (classes - frozen)).sum(dim=-1)  # of unit vectors: cosines
        return self.options.mu * F.softplus(excess / self.options.temperature).mean(dim=1)
