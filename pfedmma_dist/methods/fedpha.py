"""FedPHA (Fang et al., ICML 2025): a client's prompt beside the common one, pulled and pushed.

A client has a common context G [n, W], which is averaged, and its own L. With g, l and l' the unit
class vectors of G, of L and of L', which is L with directions of G taken out,

    loss = CE(scale * <image, l>) + CE(scale * <image, g>)
           + mean over classes and coordinates of (l - l')^2
           + mean over classes of relu(alpha - |l_c - g_c|)                      scored with l alone

Let V be the right singular vectors of G, the largest first, and k = int((1 - ratio) n). `as_paper`:
L' = L (1 - V_k V_k'), V_k the k first, so that what remains of L is outside the main directions of
G. `as_released`: L' = L U U' with U the other n - k columns of the thin V. These are the weaker
directions of G itself; the W - n dimensions outside its span are dropped, and a random L keeps 2.5
% of its energy. The gradient runs through the decomposition into G. At n = 16 and width 512 a
client trains 16,384 numbers and exchanges 8,192. Prompts of a length of each client's own are left
out, and so is MOON: what is scored moves with nothing that is shared.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one, cosine_logits, encode
from pfedmma_dist.methods.prompts import common_and_own
from pfedmma_dist.methods.share import CommonShare
from pfedmma_dist.methods.step import Step


class Remainder(Enum):
    """What is left of a client's prompt for the pull."""

    as_paper = "as_paper"
    as_released = "as_released"


@dataclass(kw_only=True)
class FedPHAOptions:
    """Options of FedPHA."""

    num_context: int = 16
    """Context vectors of each prompt; 16 (released code)."""
    alpha: float = 1.0
    """Distance beyond which a client's class vectors are pushed no further off the common ones; 1
    (released code)."""
    ratio: float = 0.8
    """Share of the n singular directions of the common prompt that are none of its main ones; 0.8
    (released code)."""
    remainder: Remainder = Remainder.as_paper
    """`as_paper`: what of the prompt is outside the main directions of the common one;
    `as_released`: what is in the common one's weaker directions alone."""
    share: CommonShare = CommonShare.common
    """What is averaged: the `common` prompt (the method), `all` both (FedAvg), or `none` (local
    prompts)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        if not self.alpha >= 0:
            raise ValueError(f"method.alpha: {self.alpha}; set a distance, 0 or more, such as 1")
        if not 0 <= self.ratio <= 1:
            raise ValueError(f"method.ratio: {self.ratio}; set a share from 0 to 1, such as 0.8")


class FedPHA(Method):
    """FedPHA: an own prompt, pulled from the main directions of a common one and pushed off it."""

    name = "fedpha"
    Options = FedPHAOptions

    def __init__(self, options: FedPHAOptions, dims: Dims) -> None:
        self.options = options
        self.specs = common_and_own(options.num_context, dims.text_width, options.share)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the client's own prompt through the text tower: [G, C, D]."""
        return text.with_context(params["own"])

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return the cross-entropy of the common prompt, the pull and the push [G]."""
        kept = remainder(params["own"], params["common"], self.options)
        contexts = torch.stack([params["common"], kept], dim=1)  # [G, 2, n, W]
        vectors = step.text.with_context(contexts.flatten(0, 1)).unflatten(0, contexts.shape[:2])
        common, kept = vectors.unbind(dim=1)
        clip = step.text.clip
        images = encode(clip, step.images, self.images)
        learned = step.cross_entropy(cosine_logits(images, common, clip.scale))
        pull = (classes - kept).square().mean(dim=(1, 2))
        near = self.options.alpha - torch.linalg.vector_norm(classes - common, dim=2)
        return learned + pull + near.relu().mean(dim=1)


def remainder(
    own: Tensor,  # [G, n, W]
    common: Tensor,  # [G, n, W]
    options: FedPHAOptions,
) -> Tensor:
    """Take directions of the common prompts out of the own ones: [G, n, W]."""
    _, _, rows = torch.linalg.svd(common, full_matrices=False)  # [G, n, W], a direction a row
    main = int(rows.shape[1] * (1 - options.ratio))
    if options.remainder is Remainder.as_paper:
        return own - own @ rows[:, :main].mT @ rows[:, :main]
    return own @ rows[:, main:].mT @ rows[:, main:]
