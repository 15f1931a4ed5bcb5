"""Head: whoever answers for one client: its numbers, its classes, and images to logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.kinds import listed, mapped, shaped
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions


@dataclass(frozen=True, eq=False)
class Head:
    """What turns images into logits of some classes, as one client's numbers have it.

    Nothing in it changes, so several threads may ask it at once.
    """

    who: str  # "client 7", "shared", or the name of zero-shot CLIP
    method: Method
    params: dict[str, Tensor]  # name -> [1, *shape]
    named: dict[str, Tensor]  # the numbers whose class vectors answer; usually the same
    prepared: Any  # what was downloaded beside, as the method reads it
    classes: Any  # the class side, as the method has it
    text: ClassText

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of the logits."""
        return list(self.text.names)

    @property
    def clip(self) -> FrozenCLIP:
        """The CLIP in which the head stands."""
        return self.text.clip

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return logits [N, C] float32 of images [N, 3, H, H], cropped and normalised as the run
        does (`Trained.preprocess`)."""
        return self.answer(images.to(self.clip.device)).float()

    def answer(self, pixels: Tensor) -> Tensor:
        """Return logits [N, C] of normalised pixels on the head's device."""
        kinds = self.method.images
        read = shaped(kinds, self.clip.freeze(pixels, listed(kinds)))
        alone = mapped(read, lambda x: x[None])
        seen = self.method.see(self.params, self.classes, alone, self.clip)
        return self.method.logits(self.params, self.classes, seen, self.clip)[0]

    def probabilities(self, images: Tensor) -> Tensor:
        """Return the softmax [N, C] of the logits, which sums to 1 over the head's classes."""
        return self.logits(images).softmax(dim=1)


@torch.no_grad()
def head_of(
    federation: Federation,
    who: str,
    held: tuple[Tensor, Any],  # row theta [1, P + S], and what came beside the shared part
    text: ClassText,
) -> Head:
    """Return the head of numbers as a federation scores them."""
    theta, extra = held
    method, views = federation.method, federation.layout.views
    prepared = method.prepare(extra, text)
    named = views(federation.stale_text.beside(theta))
    classes = method.classes(named, prepared, text)
    return Head(who, method, views(theta), named, prepared, classes, text)


@torch.no_grad()
def untouched(clip: FrozenCLIP, text: ClassText) -> Head:
    """Return the head of zero-shot CLIP: the reference line of a run."""
    method = ZeroShot(ZeroShotOptions(), clip.dims)
    return Head(ZeroShot.name, method, {}, {}, None, method.classes({}, None, text), text)


def own_start(federation: Federation, client: int) -> tuple[Tensor, Any]:
    """Return what a client of the run is scored with, as it is."""
    return federation.start(np.array([client]), training=False)


def newcomer_start(federation: Federation) -> tuple[Tensor, Any]:
    """Return what somebody would be handed who was never in the run. What is dealt by number is
    dealt to the number after the last."""
    return Examiner(federation).newcomers(np.array([federation.task.num_clients]))


def named_text(clip: FrozenCLIP, names: Sequence[str], template: str) -> ClassText:
    """Return the text side of classes that nobody trained on."""
    return class_text(clip, tuple(names), template, is_trained=False)
