"""Step: what a penalty sees of one training step of a cohort, beside parameters and classes."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import FINAL, ImageFeatures
from pfedmma_dist.clip.text import ClassText


@dataclass(frozen=True)
class Step:
    """Images of G clients, B each, and what the method makes of them."""

    text: ClassText  # the classes of the training softmax
    kind: ImageFeatures  # what the images are, as the method lists it
    images: Tensor  # [G, B, *record_shape], as `logits` sees them
    labels: Tensor  # [G, B] int64
    weight: Tensor  # [G, B] float32, 1, or 0 for padding
    logits: Tensor  # [G, B, C]

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean [G] of one number per image [G, B] over each client's own images."""
        return (values * self.weight).sum(dim=1) / self.weight.sum(dim=1)

    def cross_entropy(self, logits: Tensor) -> Tensor:
        """Return the mean cross-entropy [G] of logits [G, B, C] against the labels."""
        losses = F.cross_entropy(logits.flatten(0, 1), self.labels.flatten(), reduction="none")
        return self.mean(losses.view(self.labels.shape))

    def zero_shot(self) -> Tensor:
        """Return the logits [G, B, C] of the untouched CLIP.

        They need final image features: a method that asks lists FINAL among its `images`.
        """
        if self.kind != FINAL:
            raise TypeError(f"zero-shot logits need FINAL among the images, which are {self.kind}")
        clip = self.text.clip
        final = clip.encode_image(self.images.flatten(0, 1), FINAL)
        return clip.scale * final.unflatten(0, self.labels.shape) @ self.text.plain.mT
