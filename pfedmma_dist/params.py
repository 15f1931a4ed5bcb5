"""What a client trains, as one flat row of numbers: theta = [private | shared].

A method lists its parameters; the layout fixes where each of them lies in the row. The shared ones
are the tail, so what crosses the network is a slice, and a client's own part is the other slice.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.rng import generator

Init = Callable[[np.random.Generator, tuple[int, ...]], Tensor]
"""(generator, shape) -> float32 tensor of that shape."""


@dataclass(frozen=True)
class ParamSpec:
    """One trained tensor of a client."""

    name: str
    shape: tuple[int, ...]
    init: Init
    shared: bool = False
    """Uploaded after local training, and replaced by what the exchange hands out."""
    lr_scale: float = 1.0
    """Factor on the learning rate."""
    grad_scale: float = 1.0
    """Factor on the raw gradient, before weight decay and momentum; pFedMMA's 1 / alpha."""

    @property
    def size(self) -> int:
        """Count of numbers."""
        return int(np.prod(self.shape, dtype=np.int64))


class Layout:
    """The order of a method's parameters in a row: private first, shared last."""

    def __init__(self, specs: tuple[ParamSpec, ...]) -> None:
        names = [spec.name for spec in specs]
        assert len(set(names)) == len(names), "parameter names must differ"
        self.specs = sorted(specs, key=lambda spec: spec.shared)  # stable: private, then shared
        self.num_private = sum(spec.size for spec in specs if not spec.shared)
        self.num_shared = sum(spec.size for spec in specs if spec.shared)

    @property
    def num_trained(self) -> int:
        """Numbers a client trains, P + S."""
        return self.num_private + self.num_shared

    def template(self, seed: int) -> Tensor:
        """Return the row [P + S] float32 that every client starts from."""
        parts = [
            spec.init(generator(seed, f"init {spec.name}"), spec.shape).reshape(-1).float()
            for spec in self.specs
        ]
        return torch.cat(parts) if parts else torch.zeros(0)

    def views(self, theta: Tensor) -> dict[str, Tensor]:
        """Return {name: [G, *shape]} of rows [G, P + S], without a copy.

        One split, so that the backward pass is one concatenation.
        """
        pieces = theta.split([spec.size for spec in self.specs], dim=1) if self.specs else ()
        return {
            spec.name: piece.view(-1, *spec.shape)
            for spec, piece in zip(self.specs, pieces, strict=True)
        }

    def spread(self, field: str) -> Tensor:
        """Return a spec's number, such as `grad_scale`, repeated over its span: [P + S] float32."""
        parts = [torch.full((spec.size,), float(getattr(spec, field))) for spec in self.specs]
        return torch.cat(parts) if parts else torch.zeros(0)

    def fingerprint(self) -> str:
        """Return a hash of names, shapes and sharing; a checkpoint of another one is refused."""
        words = [f"{spec.name}{list(spec.shape)}{spec.shared}" for spec in self.specs]
        return hashlib.sha256(";".join(words).encode()).hexdigest()[:16]


def normal(std: float) -> Init:
    """Return an initialiser drawing from N(0, std^2)."""
    return lambda rng, shape: torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) * std


def kaiming_fan_out(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Draw a weight [out, in] from N(0, 2 / out): Kaiming, fan-out, gain of ReLU (MMA, pFedMMA)."""
    return normal((2.0 / shape[0]) ** 0.5)(rng, shape)


def torch_linear(fan_in: int) -> Init:
    """Return torch's initialiser of weight and bias of a linear layer with this many inputs."""
    bound = fan_in**-0.5
    return lambda rng, shape: (2 * torch.from_numpy(rng.random(shape, np.float32)) - 1) * bound


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Return zeros."""
    return torch.zeros(shape)
