"""The federation: clients in shards, one round of the paper's algorithm, everybody's scores."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.cache import Features, Views
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.text import ClassText, class_text
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.clients import ClientStore
from pfedmma_dist.federation.cohort import (
    Cohort,
    assign_shards,
    batches,
    cut_cohorts,
    participants,
    steps_per_epoch,
)
from pfedmma_dist.federation.evaluate import Scores, rows_of, score
from pfedmma_dist.federation.local import check_finite, train_cohort
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World, from_fixed, to_fixed


@dataclass(frozen=True)
class RoundStats:
    """What one round did, over all ranks."""

    loss: float  # mean training loss, weighted by the clients' sample counts
    num_participants: int
    num_samples: int  # image passes
    rank_bytes: int  # payload that each rank handed to the collective
    seconds: float
    stop: bool  # some rank was asked to stop

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RoundStats":
        """Return what `asdict` has written; ValueError for anything else."""
        kinds = {item.name: item.type for item in fields(cls)}
        if {key: type(value) for key, value in values.items()} != kinds:
            raise ValueError(f"{dict(values)!r} is no record of a round")
        return cls(**values)


@dataclass(frozen=True)
class Sources:
    """Where training images and test images get their frozen features."""

    train: Features
    test: Features


def check_ranks(cfg: Config, world: World) -> None:
    """Refuse more ranks than there are shards to host."""
    if world.size > cfg.federation.num_shards:
        raise ValueError(
            f"federation.num_shards: {cfg.federation.num_shards} shards cannot be hosted by "
            f"{world.size} ranks; set federation.num_shards={world.size} or more, or start "
            "fewer ranks (a rank hosts whole shards: results do not depend on their number)"
        )


class Federation:
    """All clients, of which this rank hosts whole shards."""

    def __init__(
        self,
        cfg: Config,
        task: Task,
        method: Method,
        clip: FrozenCLIP,
        world: World,
    ) -> None:
        """cfg: with every null resolved."""
        check_ranks(cfg, world)
        self.cfg, self.task, self.method, self.clip, self.world = cfg, task, method, clip, world
        self.on_cohort: Callable[[int], None] = lambda num_clients: None  # told of progress
        self.texts = {
            name: class_text(clip, classes.names, cfg.data.template)
            for name, classes in task.class_sets.items()
        }
        self.layout = Layout(method.specs)
        template = method.template(self.layout, cfg.seed, clip)
        self.exchange = method.exchange(self.layout, template, cfg.seed)
        self.sizes = task.train.sizes()
        self.steps = steps_per_epoch(self.sizes, cfg.federation) * cfg.federation.local_epochs
        self.shards = assign_shards(self.steps, cfg.federation.num_shards)
        self.hosted = [s for s in range(len(self.shards)) if s % world.size == world.rank]
        self.clients = ClientStore(
            template[: self.layout.num_private],
            {shard: self.shards[shard] for shard in self.hosted},
            clip.device,
        )
        self.sources: Sources | None = None  # set once the features are there

    def rehearse(self) -> None:
        """Run the class side of every class set once.

        A prompt that the CLIP cannot take is so refused before the first image is encoded.
        """
        params = self.layout.views(self.layout.template(self.cfg.seed)[None].to(self.clip.device))
        extra = self.exchange.download(np.zeros(1, np.int64), training=False).extra
        with torch.no_grad():
            for text in self.texts.values():
                _ = text.plain  # the reference line, whatever the method
                self.method.classes(params, self.method.prepare(extra, text), text)

    def round(self, round_index: int, stop: Callable[[], bool] = lambda: False) -> RoundStats:
        """Run one communication round (pFedMMA, Algorithm 1).

        stop: asked once, before the collective; all ranks learn whether any of them was.
        """
        self.world.entering(f"round {round_index + 1}")
        started, sent = time.perf_counter(), self.world.bytes_reduced
        cfg, task = self.cfg, self.task
        chosen = self.participants(round_index)
        total = int(self.sizes[chosen].sum())
        loss, num_samples = torch.zeros((), dtype=torch.int64), 0
        for cohort in self.cohorts(chosen):
            theta, extra = self.start(cohort.clients, training=True)
            with torch.no_grad():
                prepared = self.method.prepare(extra, self.train_text)
            result = train_cohort(
                self.method,
                self.layout,
                theta,
                prepared,
                self.train_text,
                self.sources.train,
                lambda rows: task.labels(task.train_classes, rows),
                batches(
                    [task.train.rows(client) for client in cohort.clients],
                    cohort.clients,
                    cfg.federation,
                    cfg.seed,
                    round_index,
                    cfg.data.views,
                ),
                cfg.optim,
                cfg.federation.proximal,
            )
            check_finite(result, cohort.clients, round_index, cfg.optim)
            weight = torch.from_numpy(self.sizes[cohort.clients] / total)
            private, shared = result.theta.split(
                [self.layout.num_private, self.layout.num_shared], dim=1
            )
            self.clients.scatter(cohort.clients, private)
            self.exchange.upload(cohort.clients, shared, weight)
            loss += to_fixed(result.loss.cpu().double() * weight).sum()
            num_samples += result.num_samples
            self.on_cohort(len(cohort.clients))
        riders = torch.stack([loss, torch.tensor(num_samples), torch.tensor(int(stop()))])
        riders = self.exchange.sync(self.world, riders, chosen)  # the round's only collective
        return RoundStats(
            loss=float(from_fixed(riders[0])),
            num_participants=len(chosen),
            num_samples=int(riders[1]),
            rank_bytes=self.world.bytes_reduced - sent,
            seconds=time.perf_counter() - started,
            stop=bool(riders[2]),
        )

    def evaluate(self, full: bool, stop: Callable[[], bool] = lambda: False) -> Scores:
        """Score every client with its own numbers: on its own images, if `full` on all test
        sets."""
        uniform = self.exchange.uniform and self.layout.num_private == 0
        return score(
            self.method,
            self.layout,
            lambda clients: self.start(clients, training=False),
            self.cohorts(np.arange(self.task.num_clients)),
            uniform,
            self.task,
            [scope for scope in self.task.scopes if full or not scope.full],
            self.texts,
            self.sources.test,
            self.cfg.evaluate.batch_size,
            self.world,
            stop,
        )

    def participants(self, round_index: int) -> np.ndarray:
        """Return the sorted clients that train in a round, over all ranks."""
        cfg = self.cfg
        return participants(cfg.federation, cfg.seed, round_index, self.task.num_clients)

    def local_participants(self, round_index: int) -> np.ndarray:
        """Return those of them that are hosted here."""
        here = np.concatenate([self.shards[shard] for shard in self.hosted])
        return np.intersect1d(self.participants(round_index), here)

    @property
    def train_text(self) -> ClassText:
        """The classes that training tells apart."""
        return self.texts[self.task.train_classes]

    def cohorts(self, clients: np.ndarray) -> list[Cohort]:
        """Cut these clients, as far as they are hosted here, into cohorts."""
        size = self.cfg.federation.cohort_size
        return [
            cohort
            for shard in self.hosted
            for cohort in cut_cohorts(
                shard, np.intersect1d(self.shards[shard], clients), self.steps, size
            )
        ]

    def start(self, clients: np.ndarray, *, training: bool) -> tuple[Tensor, Any]:
        """Return the rows theta [G, P + S] that clients hold after a download, and what else
        came."""
        download = self.exchange.download(clients, training=training)
        shared = download.shared.to(self.clip.device)
        return torch.cat([self.clients.gather(clients), shared], dim=1), download.extra

    def feature_groups(self, shards: list[int]) -> tuple[list[Views], list[Views]]:
        """Return the (training, test) image views of these shards, in groups to encode together.

        Training images are grouped by shard, so that no number of ranks changes a group; test
        images are one group, since base and novel images are scored by every client.
        """
        num_views = self.cfg.data.views
        views = np.arange(1, num_views + 1) if num_views > 1 else np.zeros(1, np.int64)
        filled = [self.shards[shard] for shard in shards if len(self.shards[shard])]
        train = [np.concatenate([self.task.train.rows(c) for c in clients]) for clients in filled]
        test = rows_of(self.task.scopes, np.concatenate([np.empty(0, np.int64), *filled]))
        return [_grid(rows, views) for rows in train], [_grid(test, np.zeros(1, np.int64))]

    def state(self) -> tuple[dict[int, dict[str, Tensor]], dict[str, Tensor]]:
        """Return (state by hosted shard, server state) at a round boundary."""
        return {s: self.clients.state(s) for s in self.hosted}, self.exchange.state()

    def load(
        self, shards: dict[int, dict[str, Tensor]], server: dict[str, Tensor], num_rounds: int
    ) -> None:
        """Take back what `state` returned after so many rounds, at any number of ranks.

        ValueError for what cannot have been returned then.
        """
        if num_rounds > self.cfg.federation.rounds:
            raise ValueError(f"it is of round {num_rounds} of {self.cfg.federation.rounds}")
        rounds = [self.participants(index) for index in range(num_rounds)]
        trained = np.unique(np.concatenate([np.empty(0, np.int64), *rounds]))
        for shard, state in shards.items():
            self.clients.load(shard, state, np.intersect1d(self.shards[shard], trained))
        self.exchange.load(server, trained)


def _grid(rows: np.ndarray, views: np.ndarray) -> Views:
    """Pair every row with every view."""
    rows = np.unique(rows)
    return np.repeat(rows, len(views)), np.tile(views, len(rows))
