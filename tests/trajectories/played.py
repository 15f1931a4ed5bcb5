"""Our federation in the recorded world, on the recorded batches: federation.plan, nothing else."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import golden_clip
import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.kinds import Kinds, Read, listed, shaped
from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import ClassSet, Scope, Task
from pfedmma_dist.federation.federation import Federation, Sources
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World
from tests.trajectories import recorded
from tests.trajectories.recorded import BATCH, FILES, NAMES, ROUNDS, Flat


@functools.cache
def clip() -> FrozenCLIP:
    return golden_clip.frozen()


class Noise(Features):
    """The frozen features of the recorded images."""

    def __init__(self) -> None:
        of = recorded.world("world")
        self.pixels = torch.from_numpy(of["pixels_int8"].astype(np.float32) * of["pixel_scale"])
        self.tables: dict[ImageFeatures, Tensor] = {}

    def rows(self, kinds: Kinds, views: tuple[np.ndarray, np.ndarray]) -> Read:
        for kind in listed(kinds):
            if kind not in self.tables:
                (self.tables[kind],) = clip().freeze(self.pixels, (kind,))
        return shaped(kinds, [self.tables[kind][views[0]] for kind in listed(kinds)])


@functools.cache
def noise() -> Noise:
    return Noise()


def task_of(file: str) -> Task:
    """Return who trains on what, and on which images everybody is scored."""
    loop = FILES[file]
    of = recorded.world(loop.clients)
    labels = of["labels"].astype(np.int64)
    train, test = (of[name].astype(np.int64) for name in ("train", "test"))
    own = recorded.owned(of["clients"])
    tests = [test] * len(own) if loop.on_all else recorded.owned(of["tests"])
    names = tuple(f"noise/{n}" for n in range(len(labels)))
    return Task(
        images=Images(Files(Path(), names), labels, NAMES, train, test),
        class_sets={"all": ClassSet("all", NAMES, np.arange(len(NAMES)))},
        train_classes="all",
        train=Partition.of(own),
        client_classes=Partition.of([np.unique(labels[rows]) for rows in own]),
        scopes=(Scope("local", "all", Partition.of(tests), full=False),),
    )


def method_of(file: str) -> Method:
    """Return the method, whose clients start from the recorded numbers."""
    loop, numbers = FILES[file], recorded.start(file)
    kind = METHODS[loop.method]

    class Recorded(kind):
        def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
            return row_of(layout, numbers)

    return Recorded.build(loop.options, clip().dims, len(NAMES), 21, ROUNDS)


def row_of(layout: Layout, numbers: Flat) -> Tensor:
    """Return parameters as a row [P + S]."""
    return torch.cat([torch.from_numpy(numbers[s.name]).flatten() for s in layout.specs])


def configured(file: str, plan: Path, sections: Mapping[str, Mapping[str, Any]]) -> Config:
    """Return the configuration of a recorded loop; sections: departures from it."""
    cfg = Config()
    own = {"rounds": ROUNDS, "batch_size": BATCH, "num_shards": 2, "cohort_size": 2}
    given = {
        "federation": {**own, "plan": str(plan), "first_round_all": False},
        "optim": {"lr": float(recorded.arrays(file)["base_lr"][0])},
    }
    for name in given.keys() | sections.keys():
        departs = {**given.get(name, {}), **sections.get(name, {})}
        setattr(cfg, name, replace(getattr(cfg, name), **departs))
    return cfg


def federation_of(
    file: str, plan: Path, world: World | None = None, **sections: Mapping[str, Any]
) -> Federation:
    """Return our federation, about to follow a recorded loop."""
    cfg = configured(file, plan, sections)
    made = Federation(cfg, task_of(file), method_of(file), clip(), world or World.alone())
    made.sources = Sources(train=noise(), test=noise())
    return made


@dataclass(frozen=True)
class Differences:
    """Largest absolute differences of each round."""

    rows: list[float]  # clients' own numbers after training; empty where they are not recorded
    shared: list[float]
    accuracy: list[float]  # in points


def follow(federation: Federation, file: str, variant: str) -> Differences:
    """Run the rounds beside a recording."""
    found = Differences([], [], [])
    trained: dict[int, Tensor] = {}
    keep = federation._keep

    def noted(cohort: Any, result: Any, kept: Tensor) -> None:
        trained.update(zip(cohort.clients.tolist(), result.theta, strict=True))
        keep(cohort, result, kept)

    federation._keep = noted
    shared = recorded.of_variant(file, variant, "shared")
    accuracy = recorded.of_variant(file, variant, "accuracy")
    is_there = any(key.startswith(f"{variant}/trained") for key in recorded.arrays(file))
    for index in range(ROUNDS):
        trained.clear()
        federation.round(index)
        scores = federation.evaluate(full=False).percent["local"]
        found.shared.append(largest(flat_shared(federation), shared[index]))
        found.accuracy.append(largest(scores, accuracy[index]))
        rows = [0.0]
        for client, row in trained.items() if is_there else ():
            theirs = row_of(federation.layout, recorded.trained(file, variant, index, client))
            rows.append(largest(row, theirs))
        found.rows.extend([max(rows)] * is_there)
    return found


def flat_shared(federation: Federation) -> np.ndarray:
    """Return the shared part in the order in which it was recorded."""
    layout, row = federation.layout, federation.exchange.shared
    private = row.new_zeros(layout.num_private)
    views = layout.views(torch.cat([private, row])[None])
    names = {spec.name for spec in layout.specs if spec.shared}
    if len(names) == 1:
        return views[names.pop()].flatten().numpy()
    ordered = sorted(names, key=lambda name: (name.split(".")[1], name.endswith("bias")))
    return torch.cat([views[name].flatten() for name in ordered]).numpy()


def largest(ours: Any, theirs: Any) -> float:
    """Return the largest absolute difference; infinite where one alone is not a number."""
    ours, theirs = (np.asarray(x, np.float64) for x in (ours, theirs))
    if (np.isnan(ours) != np.isnan(theirs)).any():
        return float("inf")
    return float(np.nanmax(np.abs(ours - theirs)))
