"""Step: what a penalty sees of one training step of a cohort, beside parameters and classes."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.kinds import Kinds, Read, listed
from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.clip.text import ClassText


@dataclass(frozen=True)
class Step:
    """Images of G clients, B each, and what the method makes of them."""

    text: ClassText  # the classes of the training softmax
    kinds: Kinds  # what the method reads of an image
    images: Read  # [G, B, *record_shape], as they are kept
    labels: Tensor  # [G, B] int64
    weight: Tensor  # [G, B] float32, 1, or 0 for padding
    logits: Tensor  # [G, B, C], `among` the classes that take part in the loss
    own: Tensor | None = None  # [G, C] bool, these classes; None: all
    seen: Any = None  # what the method does `see` of the images

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean [G] of one number per image [G, B] over each client's own images."""
        return (values * self.weight).sum(dim=1) / self.weight.sum(dim=1)

    def cross_entropy(self, logits: Tensor) -> Tensor:
        """Return the mean cross-entropy [G] of logits [G, B, C] against the labels."""
        flat = among(self.own, logits).flatten(0, 1)
        losses = F.cross_entropy(flat, self.labels.flatten(), reduction="none")
        return self.mean(losses.view(self.labels.shape))

    def zero_shot(self) -> Tensor:
        """Return the logits [G, B, C] of the untouched CLIP.

        They need final image features: a method that asks lists FINAL among its `images`.
        """
        if FINAL not in listed(self.kinds):
            raise TypeError(f"zero-shot logits need FINAL among the images, which are {self.kinds}")
        clip = self.text.clip
        images = listed(self.images)[listed(self.kinds).index(FINAL)]
        final = clip.encode_image(images.flatten(0, 1), FINAL)
        logits = clip.scale * final.unflatten(0, self.labels.shape) @ self.text.plain.mT
        return among(self.own, logits)


def among(own: Tensor | None, logits: Tensor) -> Tensor:
    """Leave logits [G, B, C] a probability for the classes [G, C] that take part alone.

    The others' are finite, so that 0 times the logarithm of such a probability is 0.
    """
    if own is None:
        return logits
    return logits.masked_fill(~own[:, None], torch.finfo(logits.dtype).min / 2)
