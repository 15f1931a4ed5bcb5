"""Examples: training steps in which no single image counts for much (DP-SGD, Abadi et al., CCS
2016).

The gradient of every image of a step is clipped by itself, and their sum gets Gaussian noise, a
function of client, round and step. Each image is in one step of an epoch, and all that follows goes
by what was noised: an epoch is one Gaussian mechanism for each image, and no chance to be drawn is
counted. Neighbours differ in whether an image is there or its place in the step is empty.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.federation.corrections.correction import Correction
from pfedmma_dist.federation.laid import Laid
from pfedmma_dist.methods.method import Method

Slope = Callable[..., tuple[Tensor, Tensor]]
"""(rows [G, P + S], prepared, step, terms) -> each client's loss [G] and gradient [G, P + S]."""


@dataclass(frozen=True)
class ImageGuard:
    """What each image's gradient may come to."""

    clip: float  # C, largest L2 norm of one
    noise: float  # deviation of noise on a sum of them, over C

    def gradient(
        self, slope: Slope, theta: Tensor, prepared: Any, step: Laid, terms: Sequence[Any]
    ) -> tuple[Tensor, Tensor]:
        """Return each client's mean loss [G] and its mean clipped and noised gradient
        [G, P + S]; `slope` is asked for one image of every client at a time."""
        total, losses = torch.zeros_like(theta), []
        for place in range(step.weight.shape[1]):
            only = slice(place, place + 1)
            weight = step.weight[:, only]
            one = replace(
                step,
                images=mapped(step.images, itemgetter((slice(None), only))),
                labels=step.labels[:, only],
                weight=torch.ones_like(weight),  # padding is dropped below
            )
            loss, grad = slope(theta, prepared, one, terms)
            norm = grad.norm(dim=1, keepdim=True)
            total = total + weight * grad * (self.clip / norm.clamp(min=self.clip))
            losses.append(loss * weight[:, 0])
        count = step.weight.sum(dim=1)
        if self.noise:
            drawn = [key.generator("examples").standard_normal(theta.shape[1]) for key in step.keys]
            noise = torch.from_numpy(np.stack(drawn)).to(theta)
            total = total + self.noise * self.clip * noise
        return sum(losses) / count, total / count[:, None]


def guard_of(
    own: PrivacyConfig, method: Method, corrections: Sequence[Correction]
) -> ImageGuard | None:
    """Return what guards images in training, None for nothing; ValueError where something else goes
    round it."""
    if own.example_clip is None:
        return None
    if method.counts or method.begins:
        raise ValueError(
            f"privacy.example_clip: {method.name} makes numbers of its images without a step, and "
            "no gradient that could be clipped; leave it out, or set another method.name"
        )
    if any(each.is_personal for each in corrections):
        raise ValueError(
            "privacy.example_clip: a second row of numbers takes a step of its own by the same "
            "images (correction.name), and only one is accounted for; set correction.name=none"
        )
    return ImageGuard(own.example_clip, own.example_noise)
