"""Toy methods: several kinds of images, zero-shot logits, frozen parts and draws of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import FINAL, PATCHES, Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import ParamSpec, normal
from pfedmma_dist.rng import Key


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


class Everything(Distilled):
    """Its class vectors are turned by a frozen matrix, and lose coordinates at random."""

    name = "everything"

    def __init__(self, options: DistilledOptions, dims: Dims) -> None:
        super().__init__(options, dims)
        turn = ParamSpec("turn", (dims.embed_dim, dims.embed_dim), normal(0.1), frozen=True)
        self.specs = (turn, *self.specs)

    def draw(self, prepared: Any, keys: Sequence[Key]) -> Tensor:
        width = self.specs[0].shape[0]
        kept = [key.generator("keep").random(width) < 0.8 for key in keys]
        return torch.from_numpy(np.stack(kept))

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        vectors = super().classes(params, prepared, text)
        vectors = vectors + vectors @ params["turn"]
        return vectors if prepared is None else vectors * prepared[:, None]
