"""Toy methods small enough to check on paper, and frozen features that are plain numbers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.model import ImageFeatures
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import ParamSpec, normal, zeros

NO_TEXT = SimpleNamespace(clip=None)


class Table(Features):
    """Features [n, D], looked up by image row."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers

    def rows(self, kind: ImageFeatures, views: tuple[np.ndarray, np.ndarray]) -> Tensor:
        return self.numbers[views[0]]


class Linear(Method):
    """A softmax regression: class weights of the client's own, a bias that is shared."""

    def __init__(self, num_classes: int, width: int) -> None:
        self.specs = (
            ParamSpec("weight", (num_classes, width), normal(1.0), grad_scale=4.0),
            ParamSpec("bias", (num_classes,), zeros, shared=True, lr_scale=0.5),
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: Any) -> Tensor:
        return params["weight"]

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: Any
    ) -> Tensor:
        return images @ classes.mT + params["bias"][:, None]

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Any) -> Tensor:
        return 0.25 * params["weight"].square().sum(dim=(1, 2))


class Stretch(Method):
    """Class vectors multiplied by one vector, the client's own or shared."""

    def __init__(self, width: int, *, shared: bool) -> None:
        self.specs = (ParamSpec("stretch", (width,), normal(1.0), shared=shared),)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: Any) -> Tensor:
        return text.plain * params["stretch"][:, None]

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: Any
    ) -> Tensor:
        return torch.matmul(images, classes.mT)
