"""A method on the tiny CLIP with rows, images and steps of three ragged clients."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import numpy as np
import torch
from distilled import Everything
from tiny import CLASSES, NUM_BASE, NoiseFeatures, batches, tiny_clip
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.keys import FederationConfig
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.counting import begun
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer
from pfedmma_dist.methods import METHODS
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

OWN = [np.arange(10), np.arange(10, 13), np.arange(13, 19)]
CLIENTS = np.arange(3)
EVERYBODY = np.arange(12)
"""Those that took part in the round before: the three and some more."""
CFG = FederationConfig(batch_size=4, drop_last=False)  # 3, 1 and 2 steps, each client padded once
STEPS = list(batches(OWN, CLIENTS, CFG, seed=1, round_index=0, num_views=1))
LABELS = np.arange(19) % NUM_BASE
OPTIM = OptimConfig()


KINDS = METHODS | {Everything.name: Everything}
"""All methods, and a toy that uses what none of them may need."""


def choices(name: str) -> Iterator[dict[str, Enum]]:
    """Yield no departure from the defaults, and every other member of every enum option."""
    yield {}
    for field in fields(KINDS[name].Options):
        if isinstance(field.default, Enum):
            yield from ({field.name: m} for m in type(field.default) if m is not field.default)


def title(name: str, chosen: dict[str, Enum]) -> str:
    """Return the name of a case."""
    return "-".join([name, *(member.name for member in chosen.values())])


CASES = {title(name, chosen): (name, chosen) for name in KINDS for chosen in choices(name)}


FORWARD = [case for case, (_, chosen) in CASES.items() if "share" not in chosen]
"""The cases but for those that choose what is shared, which no client's step can see."""


@functools.cache
def frozen_inputs(dtype: torch.dtype, plain: bool) -> tuple[ClassText, NoiseFeatures]:
    """Return what no method changes: the class names and images of a form of the tiny CLIP."""
    clip = tiny_clip(dtype, plain=plain)
    return class_text(clip, CLASSES[:NUM_BASE], "a photo of a {}."), NoiseFeatures(clip)


@dataclass(frozen=True)
class Usual:
    """What a case makes of its own rows and steps; a test changes something, and compares."""

    logits: Tensor
    gradient: Tensor | None  # where it trains something
    trained: LocalResult | None


@dataclass
class Setting:
    """A method on one form of the tiny CLIP, with rows of three clients."""

    name: str
    chosen: dict[str, Any]
    dtype: torch.dtype = torch.float64
    plain: bool = False

    def __post_init__(self) -> None:
        self.clip = tiny_clip(self.dtype, plain=self.plain)
        kind = KINDS[self.name]
        sizes = NUM_BASE, max(map(len, OWN)), CFG.rounds
        self.method = kind.build(kind.Options(**self.chosen), self.clip.dims, *sizes)
        self.layout = Layout(self.method.specs, self.method.frozen(1, self.clip))
        self.text, self.features = frozen_inputs(self.dtype, self.plain)
        rng = np.random.default_rng(1)
        noise = rng.standard_normal((3, self.layout.num_trained))
        self.start = self.layout.template(1).to(self.clip.wide).repeat(3, 1)
        if self.method.begins:
            self.start = begun(self.trainer, self.start, OWN, 0, np.zeros(3, bool))
        self.theta = self.start + 0.1 * torch.from_numpy(noise).to(self.clip.wide)

        self.exchange = self.method.exchange(self.layout, self.layout.template(1), 1)
        if self.method.counts:  # they are scored on their own noise, not on that of others
            return
        self.exchanged(0.1 * rng.standard_normal((len(EVERYBODY), self.layout.num_shared)))

    def exchanged(self, rows: np.ndarray) -> None:
        """Close a round in which everybody sends a row [12, S]."""
        self.exchange.download(EVERYBODY, training=True)
        even = torch.full((len(EVERYBODY),), 1 / len(EVERYBODY), dtype=torch.float64)
        self.exchange.upload(EVERYBODY, torch.from_numpy(rows), even)
        self.exchange.sync(World.alone(), torch.zeros(0, dtype=torch.int64), EVERYBODY)

    @property
    def usual(self) -> Usual:
        return usual(title(self.name, self.chosen))

    @property
    def trainer(self) -> LocalTrainer:
        return LocalTrainer(
            self.method, self.layout, self.text, self.features, LABELS.__getitem__, OPTIM
        )

    @torch.no_grad()
    def prepared(self, clients: np.ndarray) -> Any:
        extra = self.exchange.download(clients, training=True).extra
        return self.method.prepare(extra, self.text)

    def logits(self, theta: Tensor, rows: np.ndarray, clients: np.ndarray = CLIENTS) -> Tensor:
        params = self.layout.views(theta)
        kind = self.method.images
        read = self.features.rows(kind, (rows.reshape(-1), None))
        images = mapped(read, lambda x: x.unflatten(0, rows.shape))
        classes = self.method.classes(params, self.prepared(clients), self.text)
        seen = self.method.see(params, classes, images, self.clip)
        return self.method.logits(params, classes, seen, self.clip)

    def losses(self, theta: Tensor, batch: Batch, clients: np.ndarray = CLIENTS) -> Tensor:
        return self.trainer.losses(theta, self.prepared(clients), batch)

    def gradient(self, theta: Tensor, batch: Batch) -> Tensor:
        leaf = theta.clone().requires_grad_()
        return torch.autograd.grad(self.losses(leaf, batch).sum(), leaf)[0]

    def step_gradient(self, batch: Batch) -> Tensor:
        """Return the gradient as the trainer takes it, with what it yields to."""
        return self.trainer.gradient(self.theta, self.prepared(CLIENTS), batch)[1]

    def train(
        self, theta: Tensor, steps: list[Batch], clients: np.ndarray = CLIENTS
    ) -> LocalResult:
        return self.trainer.train(theta, theta[:, :0], self.prepared(clients), steps)


@functools.cache
def usual(case: str) -> Usual:
    """Compute it, once for all tests of a case."""
    setting = of_case(case)
    logits = setting.logits(setting.theta, STEPS[0].rows)
    if not setting.layout.num_trained:
        return Usual(logits, None, None)
    gradient = setting.gradient(setting.theta, STEPS[0])
    return Usual(logits, gradient, setting.train(setting.theta, STEPS))


@functools.cache
def of_case(case: str) -> Setting:
    """Return the setting of a case, which is one for all tests that only read it."""
    return Setting(*CASES[case])


TRAINED = [case for case in CASES if any(spec.lr_scale for spec in of_case(case).layout.specs)]
"""The cases that train something."""
