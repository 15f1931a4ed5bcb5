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
client trains 16,384 numbers and exchanges 8,192. MOON is left out: what is scored moves with
nothing that is shared.

With `own_lengths` (the paper's heterogeneous prompts) L has a length of each client's own; G has n
vectors for all. L is padded to the longest in the client's row, where zeros stay zeros: nothing
reads them, so that no gradient, decay or momentum moves them. The row holds its length besides.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.method import Method, at_least_one, cosine_logits, encode
from pfedmma_dist.methods.prompts import common_and_own, cut_to
from pfedmma_dist.methods.share import CommonShare
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import ParamSpec


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

    own_lengths: list[int] | None = key(None, since=1)
    """Context vectors of the clients' own prompts, dealt in turn by client number, such as [16,8]:
    client 0 has 16, client 1 has 8, client 2 has 16; null: num_context for all."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        if self.own_lengths is not None and not (self.own_lengths and min(self.own_lengths) > 0):
            raise ValueError(
                f"method.own_lengths: {self.own_lengths}; list lengths of 1 or more, such as [16,8]"
            )
        if self.own_lengths is not None and self.share is CommonShare.all:
            raise ValueError(
                f"method.own_lengths: {self.own_lengths} have no average, and method.share is all; "
                "set method.share=common or none"
            )
        if not self.alpha >= 0:
            raise ValueError(f"method.alpha: {self.alpha}; set a distance, 0 or more, such as 1")
        if not 0 <= self.ratio <= 1:
            raise ValueError(f"method.ratio: {self.ratio}; set a share from 0 to 1, such as 0.8")


class FedPHA(Method):
    """FedPHA: an own prompt, pulled from the main directions of a common one and pushed off it."""

    name = "fedpha"
    Options = FedPHAOptions

    def __init__(self, options: FedPHAOptions, dims: Dims) -> None:
        self.options, n = options, options.num_context
        self.dealt = tuple(options.own_lengths or [n])
        self.longest = max(n, *self.dealt)
        self.specs = common, own = common_and_own(n, dims.text_width, options.share)
        if options.own_lengths is not None:
            own = replace(own, shape=(self.longest, dims.text_width))
            longest = torch.tensor([float(self.longest)])
            length = ParamSpec("own_length", (1,), lambda *_: longest, lr_scale=0.0)
            self.specs = (common, own, length)

    def deal(self, params: dict[str, Tensor], clients: np.ndarray) -> None:
        """Give clients their lengths in turn, and zeros behind their own prompts."""
        if self.options.own_lengths is not None:
            dealt = torch.tensor(self.dealt)[clients % len(self.dealt)]
            params["own_length"].copy_(dealt[:, None])
            behind = torch.arange(self.longest) >= dealt[:, None]  # [G, n]
            params["own"][behind.to(params["own"].device)] = 0.0

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the client's own prompt through the text tower: [G, C, D]."""
        return cut_to(self._lengths(params), params["own"], text)

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return the cross-entropy of the common prompt, the pull and the push [G]."""
        kept = remainder(params["own"], params["common"], self.options)
        lengths = [n for own in self._lengths(params) for n in (self.options.num_context, own)]
        common = F.pad(params["common"], (0, 0, 0, self.longest - self.options.num_context))
        vectors = cut_to(lengths, torch.stack([common, kept], dim=1).flatten(0, 1), step.text)
        common, kept = vectors.unflatten(0, (-1, 2)).unbind(dim=1)
        clip = step.text.clip
        images = encode(clip, step.images, self.images)
        learned = step.cross_entropy(cosine_logits(images, common, clip.scale))
        pull = (classes - kept).square().mean(dim=(1, 2))
        near = self.options.alpha - torch.linalg.vector_norm(classes - common, dim=2)
        return learned + pull + near.relu().mean(dim=1)

    def _lengths(self, params: dict[str, Tensor]) -> list[int]:
        """Return how many context vectors each client's own prompt has [G]."""
        if self.options.own_lengths is None:
            return [self.longest] * len(params["own"])
        told = params["own_length"].detach().round().long()  # whole, unless rows were mixed
        return told.clamp(1, self.longest).flatten().tolist()


def remainder(
    own: Tensor,  # [G, n, W]
    common: Tensor,  # [G, n, W]
    options: FedPHAOptions,
) -> Tensor:
    """Take directions of the common prompts out of the own ones: [G, n, W]."""
    _, _, rows = torch.linalg.svd(common, full_matrices=False)  # [G, n, W], a direction a row
    main = int(round(rows.shape[1] * (1 - options.ratio), 6))  # 10 (1 - 0.8) is 2, not 1.9999
    if options.remainder is Remainder.as_paper:
        return own - own @ rows[:, :main].mT @ rows[:, :main]
    return own @ rows[:, main:].mT @ rows[:, main:]
