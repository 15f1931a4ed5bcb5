"""Estimate: the core-hours and the room on disk that runs will take, before one of them starts.

Training and scoring are counted from the very division of the data, and cost what a step took where
it was measured (docs/measured/steps*.json), at the speed of this machine's matrix products now.
Encoding is by arithmetic. Where a guess is needed it is the larger one.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from launch.job import ROOT
from launch.plan import PlannedRun
from pfedmma_dist.clip.kinds import listed
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.model import Dims, ImageFeatures
from pfedmma_dist.config.choices import CacheMode
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets import registry
from pfedmma_dist.data.tasks.task import Scope, Task
from pfedmma_dist.divided import divide, method_of
from pfedmma_dist.federation.cadence import EACH_ROUND
from pfedmma_dist.federation.cohort import steps_per_epoch
from pfedmma_dist.federation.foresight import TRAINED
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.results.reproduced import FULL_SIZE
from pfedmma_dist.world.threads import one_thread

STEPS = tuple(ROOT / "docs" / "measured" / name for name in ("steps.json", "steps_more.json"))
"""Of benchmarks/step.py; the second has the default form alone, of methods that the first lacks."""

FORM = "default float32"
"""Beginning of the name of the form in the record."""


@dataclass
class Estimate:
    """What runs will take; seconds are of one core."""

    training: float = 0.0
    scoring: float = 0.0
    images: dict[tuple[Any, ...], int] = field(default_factory=dict)  # to encode, by what they are
    features: dict[tuple[Any, ...], int] = field(default_factory=dict)  # bytes, by the same
    fresh: int = 0  # images encoded anew at steps
    encoding: float = 0.0
    checkpoints: int = 0  # bytes
    unknown: dict[str, str] = field(default_factory=dict)  # row -> what is not counted of it

    @property
    def seconds(self) -> float:
        """Return core-seconds in all."""
        return self.training + self.scoring + self.encoding

    @property
    def num_bytes(self) -> int:
        """Return bytes on disk in all."""
        return sum(self.features.values()) + self.checkpoints


class Speeds:
    """What a step takes here: recorded seconds at the recorded speed of products, and ours."""

    def __init__(self) -> None:
        self.steps: dict[str, Any] = {}
        for path in STEPS:
            if path.is_file():  # an installed package comes without docs/
                self.steps |= json.loads(path.read_text())

    @cached_property
    def rate(self) -> float:
        """Return FLOP per second of this machine's products, of one thread, measured now."""
        n, k, m = 6304, 768, 3072  # a ViT-B's MLP on a batch, as in the record
        a, b, took = torch.randn(n, k), torch.randn(k, m), []
        with one_thread():
            for _ in range(3):
                start = time.process_time()
                a @ b
                took.append(time.process_time() - start)
        return 2 * n * k * m / min(took[1:])

    def step(self, method: str, num_classes: int, batch: int) -> float | None:
        """Return seconds of one client's step; None where none was recorded.

        In proportion to the batch, and beyond the recorded classes to those, which is too much for
        what reads images inside a tower.
        """
        known = self.steps.get(method)
        if known is None:
            return None
        form = next(own for name, own in known["forms"].items() if name.startswith(FORM))
        speed = known["gemm"]["float32"] / self.rate
        shape = known["with"]
        more = max(1.0, num_classes / shape["classes"]) * batch / shape["batch"]
        return median(form["seconds"]) * speed * more


def estimate(runs: Iterable[PlannedRun], speeds: Speeds) -> Estimate:
    """Return what these runs will take; their data sets are listed for it, and no image opened."""
    found, tasks = Estimate(), dict[tuple[str, int], Task]()
    for run in runs:
        place = repr(run.config.data), run.config.seed
        if place not in tasks:
            tasks[place] = divide(run.config, _images(run.config))
        _add(found, run, tasks[place], speeds)
    return found


def _images(cfg: Config) -> list[Images]:
    folder = Path(cfg.clip.cache_folder).expanduser()
    return [registry.read(own, cfg.seed, folder) for own in registry.sets_of(cfg.data)]


def _add(found: Estimate, run: PlannedRun, task: Task, speeds: Speeds) -> None:
    """Add one run to an estimate."""
    cfg, sizes = run.config, task.train.sizes()
    num_classes = len(task.class_sets[task.train_classes].names)
    shapes = dims(cfg.clip.model)
    method = method_of(cfg, task, shapes)
    layout = Layout(method.specs)
    steps = 0.0
    if method.num_trained(layout):
        steps = _client_rounds(cfg, method, task.num_clients) * cfg.federation.local_epochs
        steps *= float(steps_per_epoch(sizes, cfg.federation).mean())
    is_recorded = cfg.clip.model in FULL_SIZE
    step = speeds.step(method.name, num_classes, cfg.federation.batch_size) if is_recorded else None
    passes = _scored(cfg, task, is_one=not layout.num_private)
    if step is not None:
        found.training += steps * step
        found.scoring += passes * step / cfg.federation.batch_size / TRAINED
    elif steps:
        what = f"no step of {method.name}" if is_recorded else f"no step at {cfg.clip.model}"
        found.unknown[run.row] = f"{what} is recorded"
    found.checkpoints += 4 * task.num_clients * layout.num_trained * cfg.run.keep_checkpoints
    _encode(found, run, task, method, shapes, steps * cfg.federation.batch_size, speeds)


def _client_rounds(cfg: Config, method: Method, num_clients: int) -> int:
    """Return in how many rounds clients train, together."""
    share = max(int(cfg.federation.fraction * num_clients), 1)
    asked = cfg.federation.first_round_all
    all_first = method.first_round_all if asked is None else asked
    return cfg.federation.rounds * share + (num_clients - share) * all_first


def _scored(cfg: Config, task: Task, *, is_one: bool) -> int:
    """Return image passes of all scores of a run. is_one: all clients hold the same numbers."""
    holders = 1 if is_one else task.num_clients
    local = sum(_passes(scope, holders) for scope in task.scopes if not scope.full)
    full = sum(_passes(scope, holders) for scope in task.scopes if scope.full)
    every, rounds = cfg.evaluate.every, cfg.federation.rounds
    if every is None:
        every = 1 if task.num_clients <= EACH_ROUND else rounds
    on_the_way = rounds // every if every else 0
    fully = rounds // cfg.evaluate.full_every if cfg.evaluate.full_every else 0
    return local * (on_the_way + 1) + full * (fully + 1)


def _passes(scope: Scope, holders: int) -> int:
    return len(scope.together) * holders if scope.common else int(scope.apart.sizes().sum())


def _encode(
    found: Estimate,
    run: PlannedRun,
    task: Task,
    method: Method,
    shapes: Dims,
    trained: float,  # images of all steps
    speeds: Speeds,
) -> None:
    """Add what is encoded, and kept: training and test images apart, once for all runs on disk."""
    cfg = run.config
    flop = _flop(shapes)
    if flop is None:
        found.unknown.setdefault(run.row, f"encoding by {cfg.clip.model}, no plain ViT")
        return
    own = "" if cfg.clip.cache is CacheMode.disk else run.name
    width = getattr(torch, (cfg.clip.cache_dtype or cfg.clip.dtype).stored).itemsize
    test = len(np.unique(np.concatenate([_rows(scope) for scope in task.scopes])))
    data = repr(cfg.data)
    parts: dict[tuple[Any, ...], int] = {("test", own, data): test}
    if cfg.data.views and trained:
        num_images = int(task.train.sizes().sum()) * cfg.data.views
        parts["training", own, data, cfg.seed] = num_images
    elif trained:
        found.fresh += int(trained)
        found.encoding += trained * flop / speeds.rate
    for kind in listed(method.images):
        for place, count in parts.items():
            key = (kind, *place)
            if key not in found.images:
                found.images[key] = count
                found.encoding += count * flop / speeds.rate
                is_kept = cfg.clip.cache is CacheMode.disk
                found.features[key] = count * _numbers(kind, shapes) * width * is_kept


def _rows(scope: Scope) -> np.ndarray:
    return scope.together if scope.common else scope.apart.members


def _numbers(kind: ImageFeatures, shapes: Dims) -> int:
    """Return how many numbers are stored of an image."""
    tokens, width = (shapes.num_patches or 0) + 1, shapes.image_width or 0
    if kind.start is not None:
        return tokens * width * (1 if kind.entry else 2)
    if kind.tokens:
        return tokens * width
    return (tokens - 1 if kind.patches else 1) * shapes.embed_dim


def _flop(shapes: Dims) -> float | None:
    """Return the FLOP of products in a whole image tower, of one image."""
    if not (shapes.image_width and shapes.image_blocks and shapes.num_patches):
        return None
    tokens, width = shapes.num_patches + 1, shapes.image_width
    return shapes.image_blocks * (24.0 * width**2 * tokens + 4.0 * tokens**2 * width)
