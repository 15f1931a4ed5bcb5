"""Rounds of two clients as a public library recorded them, run by our trainer."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tiny import golden
from torch import Tensor
from toy import NO_TEXT, Table

from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.corrections.correction import Correction
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout, ParamSpec, zeros

PLAIN = OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.0)


class TwoLayers(Method):
    """A tanh layer and a linear head, all shared: the network of the recorded rounds."""

    def __init__(self) -> None:
        shapes = {"base": (8, 32), "base.bias": (8,), "head": (5, 8), "head.bias": (5,)}
        self.specs = tuple(ParamSpec(n, shape, zeros, shared=True) for n, shape in shapes.items())

    def classes(self, params: dict[str, Tensor], prepared: Any, text: Any) -> None:
        return None

    def logits(self, params: dict[str, Tensor], classes: Any, images: Tensor, clip: Any) -> Tensor:
        inner = self.representation(params, classes, images, clip)[:, :, 0]
        return inner @ params["head"].mT + params["head.bias"][:, None]

    def representation(
        self, params: dict[str, Tensor], classes: Any, images: Tensor, clip: Any
    ) -> Tensor:
        return torch.tanh(images @ params["base"].mT + params["base.bias"][:, None])[:, :, None]


def recorded_batches(epochs: int) -> list[Batch]:
    """Return the recorded steps: each client's three images, then their halves."""
    rows = np.arange(6).reshape(2, 3)
    steps = [rows, rows + 6] * epochs
    ones = np.ones((2, 3), np.float32)
    return [Batch(own, np.zeros((2, 3), int), ones, np.ones(2, bool)) for own in steps]


def play(name: str, correction: Correction, layout: Layout) -> tuple[dict, list[SimpleNamespace]]:
    """Run the recorded rounds; return the recording, and what each of our rounds left."""
    arrays = golden(name)
    features = torch.from_numpy(arrays["features"])
    labels = np.tile(arrays["labels"], 2)
    trainer = LocalTrainer(
        TwoLayers(), layout, NO_TEXT, Table(torch.cat([features, features / 2])),
        labels.__getitem__, PLAIN, [correction],
    )  # fmt: skip
    shared = torch.from_numpy(arrays["init"]).double()
    memory, found = torch.zeros(2, correction.num_memory), []
    for _ in range(3):
        steps = recorded_batches(int(arrays["epochs"]))
        result = trainer.train(shared.float().expand(2, -1), memory, None, steps)
        memory = result.memory
        mean = result.theta.double().mean(dim=0)
        shared = correction.settle(shared, mean, result.sent.double().mean(dim=0), 1.0)
        found.append(SimpleNamespace(y=result.theta, x=shared, memory=memory))
    return arrays, found
