"""A toy method that uses much of the protocol: patches beside final features, zero-shot logits."""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import FINAL, PATCHES, Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import ParamSpec, normal


@dataclass(kw_only=True)
class DistilledOptions:
    """None."""


class Distilled(Method):
    """A prompt that is taught by zero-shot CLIP, and compared with patches too."""

    name = "distilled"
    Options = DistilledOptions
    images = (PATCHES, FINAL)

    def __init__(self, options: DistilledOptions, dims: Dims) -> None:
        self.specs = (ParamSpec("context", (2, dims.text_width), normal(0.02), shared=True),)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        return text.with_context(params["context"])

    def logits(
        self,
        params: dict[str, Tensor],
        classes: Tensor,
        images: tuple[Tensor, Tensor],
        clip: FrozenCLIP,
    ) -> Tensor:
        patches, final = map(lambda own, kind: encode(clip, own, kind), images, self.images)
        return cosine_logits(F.normalize(final + patches.mean(dim=2), dim=2), classes, clip.scale)

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        said = step.logits.log_softmax(dim=2)
        return -0.7 * step.mean((step.zero_shot().softmax(dim=2) * said).sum(dim=2))
