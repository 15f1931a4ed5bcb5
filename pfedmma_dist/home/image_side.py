"""Image side: what a head adds to the frozen image tower, by the kind of its method.

A method of another kind, a plugin's too, has its own line here by `image_side.register`.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from torch import Tensor

from pfedmma_dist.home.head import Head
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.prompted_images import PromptedImages


@dataclass(frozen=True)
class ImageSide:
    """Tensors as personal_clip.py names them, beside the class vectors."""

    classes: Tensor  # [N, C, D] of N groups of tokens, mostly one
    tensors: dict[str, Tensor]
    alpha: float = 1.0  # scale of an adapter's output


@singledispatch
def image_side(method: Method, head: Head) -> ImageSide | None:
    """Return what a head adds to the image tower; None where there is no name for it."""
    return None


@image_side.register
def _(method: PromptedImages, head: Head) -> ImageSide:
    """Tokens behind the patches, by block."""
    vectors = method.image_vectors(head.params, head.classes)
    tokens = {f"tokens_{block}": own for block, own in vectors.items()}  # [N, k, W]
    return ImageSide(_grouped(head.classes), tokens)


@image_side.register
def _(method: PFedMMA, head: Head) -> ImageSide:
    """Adapters beside blocks."""
    own: dict[str, Tensor] = {}
    for level in range(method.options.blocks):
        block = method.adapted(level)
        for part in ("down", "mix", "up"):
            name = f"{part}.{level}" if part == "mix" else f"{part}.{level}.image"
            own[f"{part}_{block}"] = head.params[name][0]
            if method.options.bias:
                own[f"{part}_{block}_bias"] = head.params[f"{name}.bias"][0]
    return ImageSide(_grouped(head.classes), own, method.options.alpha)


def _grouped(classes: Any) -> Tensor:
    """Return class vectors [1, C, D], or [1, N, C, D], without the axis of clients."""
    return classes if classes.ndim == 3 else classes[0]
