"""What a client trains, as one flat row of numbers: theta = [private | shared].

A method lists its parameters; the layout fixes where each of them lies in the row. The shared ones
are the tail, so what crosses the network is a slice, and a client's own part is the other slice.
What is frozen lies beside the rows: one tensor for all clients, a function of the run's seed.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.rng import generator

Init = Callable[[np.random.Generator, tuple[int, ...]], Tensor]
"""(generator, shape) -> float32 tensor of that shape."""


@dataclass(frozen=True)
class ParamSpec:
    """One tensor of a client: trained, or frozen as it was drawn."""

    name: str
    shape: tuple[int, ...]
    init: Init
    shared: bool = False
    """Uploaded after local training, and replaced by what the exchange hands out."""
    lr_scale: float = 1.0
    """Factor on the learning rate."""
    grad_scale: float = 1.0
    """Factor on the raw gradient, before weight decay and momentum; pFedMMA's 1 / alpha."""
    steady: bool = False
    """Whether the schedule of the released code leaves its rate alone; read by released.wave."""
    frozen: bool = False
    """The same for all clients and rounds: seen like the others, and never trained, sent or stored;
    it is drawn again from the run's seed."""

    def __post_init__(self) -> None:
        assert not (self.frozen and self.shared), f"{self.name} is frozen: nobody sends it"

    def draw(self, seed: int) -> Tensor:
        """Return the start [*shape] float32 of the parameter."""
        return self.init(generator(seed, f"init {self.name}"), self.shape).float()

    @property
    def size(self) -> int:
        """Count of numbers."""
        return int(np.prod(self.shape, dtype=np.int64))


class Layout:
    """The order of a method's parameters in a row: private first, shared last."""

    def __init__(
        self,
        specs: tuple[ParamSpec, ...],
        frozen: Mapping[str, Tensor] | None = None,
        device: torch.device | None = None,
    ) -> None:
        """frozen: values of what is frozen, without which there are no views of it. device: of the
        rows, and so of what is the same for all rows; None: the CPU."""
        self.device = device
        names = [spec.name for spec in specs]
        assert len(set(names)) == len(names), "parameter names must differ"
        trained = [spec for spec in specs if not spec.frozen]
        self.specs = sorted(trained, key=lambda spec: spec.shared)  # stable: private, then shared
        self.num_private = sum(spec.size for spec in trained if not spec.shared)
        self.num_shared = sum(spec.size for spec in trained if spec.shared)
        fixed = [spec for spec in specs if spec.frozen]
        self.frozen = (
            {s.name: frozen[s.name].to(device).float().view(s.shape) for s in fixed}
            if frozen
            else {}
        )
        self._is_whole = len(self.frozen) == len(fixed)

    @property
    def num_trained(self) -> int:
        """Numbers a client trains, P + S."""
        return self.num_private + self.num_shared

    def template(self, seed: int) -> Tensor:
        """Return the row [P + S] float32 that every client starts from."""
        parts = [spec.draw(seed).reshape(-1) for spec in self.specs]
        return torch.cat(parts) if parts else torch.zeros(0)

    def views(self, theta: Tensor) -> dict[str, Tensor]:
        """Return {name: [G, *shape]} of rows [G, P + S], without a copy, and of what is frozen.

        One split, so that the backward pass is one concatenation.
        """
        assert self._is_whole, "a layout without the values of what is frozen"
        pieces = theta.split([spec.size for spec in self.specs], dim=1) if self.specs else ()
        trained = {
            spec.name: piece.view(-1, *spec.shape)
            for spec, piece in zip(self.specs, pieces, strict=True)
        }
        return trained | {
            name: value.to(theta).expand(len(theta), *value.shape)
            for name, value in self.frozen.items()
        }

    def spread(self, field: str) -> Tensor:
        """Return a spec's number, such as `grad_scale`, repeated over its span: [P + S] float32."""
        parts = [
            torch.full((spec.size,), float(getattr(spec, field)), device=self.device)
            for spec in self.specs
        ]
        return torch.cat(parts) if parts else torch.zeros(0, device=self.device)

    def fingerprint(self) -> str:
        """Return a hash of names, shapes and sharing, and of what is frozen with its values; a
        checkpoint of another one is refused."""
        words = [f"{spec.name}{list(spec.shape)}{spec.shared}" for spec in self.specs]
        for name, value in self.frozen.items():
            digest = hashlib.sha256(value.cpu().contiguous().numpy().tobytes()).hexdigest()
            words.append(f"{name}{list(value.shape)}{digest}")
        return hashlib.sha256(";".join(words).encode()).hexdigest()[:16]


def drawn(specs: Iterable[ParamSpec], seed: int) -> dict[str, Tensor]:
    """Return the values of what is frozen, drawn from the run's seed."""
    return {spec.name: spec.draw(seed) for spec in specs if spec.frozen}


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
