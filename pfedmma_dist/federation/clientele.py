"""Clientele: all clients of a federation, who of them trains when and is hosted where."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.clip.cache import Views
from pfedmma_dist.config.choices import Sampling
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.attackers import attackers_of, told_apart
from pfedmma_dist.federation.cohort import (
    Cohort,
    assign_shards,
    check_ranks,
    cut_cohorts,
    drawn_steps,
    steps_per_epoch,
    unseen_clients,
    visitors,
)
from pfedmma_dist.federation.hosting import ROUNDS, hosts
from pfedmma_dist.federation.plan import plan_of
from pfedmma_dist.federation.plan_file import Steps
from pfedmma_dist.federation.released.dropped import check_dropped, without_dropped
from pfedmma_dist.federation.views import scored_views, training_views
from pfedmma_dist.world import World

if TYPE_CHECKING:
    from pfedmma_dist.federation.timing import Clock


class Clientele:
    """The clients of a federation in their shards; what concerns some of them costs no more.

    All of it follows from the configuration, the task and the rank.
    """

    clock: "Clock | None" = None
    """What says who trains, and whose upload counts; None: all that are drawn, and all of them."""

    def __init__(self, cfg: Config, task: Task, world: World) -> None:
        """cfg: with every null resolved."""
        check_ranks(cfg.federation, world.size)
        self.cfg, self.task, self.world = cfg, task, world
        self.sizes = task.train.sizes()
        self.unseen = unseen_clients(cfg.federation, cfg.seed, task.num_clients)
        self.seen = np.setdiff1d(np.arange(task.num_clients), self.unseen)
        self.among = self.seen  # of whom rounds draw
        check_dropped(cfg, self.among, task.num_clients)
        self.seen = without_dropped(cfg, self.among)
        self.plan = plan_of(cfg, task)  # None: drawn by the seed
        self.attackers = attackers_of(cfg, task.num_clients)
        self.scored = np.arange(task.num_clients)  # who is, on test images
        self.num_seen = int(self.sizes[self.seen].sum())  # training images of theirs
        self.steps = steps_per_epoch(self.sizes, cfg.federation) * cfg.federation.local_epochs
        assert cfg.federation.num_shards is not None
        self.shards = assign_shards(self.steps, cfg.federation.num_shards)
        self.shard_of = np.empty(task.num_clients, np.int64)  # [K]
        for shard, members in enumerate(self.shards):
            self.shard_of[members] = shard
        self.host_of = hosts(self._work(), world.size)  # [shards] the rank of each
        self.hosted = np.flatnonzero(self.host_of == world.rank).tolist()

    def participants(self, round_index: int) -> np.ndarray:
        """Return the sorted clients that train in a round, over all ranks."""
        return (
            self.drawn(round_index) if self.clock is None else self.clock.lap(round_index).clients
        )

    def arrived(self, round_index: int) -> np.ndarray:
        """Return those of them whose upload counts."""
        if self.clock is None:
            return self.participants(round_index)
        lap = self.clock.lap(round_index)
        return lap.clients[lap.arrived]

    def drawn(self, round_index: int) -> np.ndarray:
        """Return the sorted clients that the server draws for a round, whatever the clock says."""
        return np.sort(self.visited(round_index))

    def visited(self, round_index: int) -> np.ndarray:
        """Return the same in the order in which they come, if one comes after the other."""
        cfg = self.cfg
        if self.plan is not None:
            order = self.plan.clients(round_index)
        else:
            order = self.among[visitors(cfg.federation, cfg.seed, round_index, len(self.among))]
        return without_dropped(cfg, order)

    def steps_of(self, client: int, epochs: int, round_index: int) -> Steps:
        """Return the images that a client trains on, step by step; of no round of the run where it
        is scored after some epochs more."""
        cfg = self.cfg
        if self.plan is not None and round_index < cfg.federation.rounds:
            return self.plan.visit(round_index, client).steps
        plan, rows = replace(cfg.federation, local_epochs=epochs), self.task.train.rows(client)
        return drawn_steps(rows, client, plan, cfg.seed, round_index, cfg.data.views)

    def turnout(self, round_index: int) -> tuple[int, int]:
        """Return how many clients train in a round, and how many uploads of theirs count."""
        return len(self.participants(round_index)), len(self.arrived(round_index))

    @property
    def fewest(self) -> int:
        """How many clients' uploads the smallest round has."""
        cfg = self.cfg.federation
        drawn = self.clock is None and self.plan is None and len(self.among) == len(self.seen)
        alike = drawn and cfg.sampling is Sampling.fixed  # but the first
        rounds = range(min(cfg.rounds, 2) if alike else cfg.rounds)
        return min((self.turnout(index)[1] for index in rounds), default=0)

    def told_apart(self, dropped: Sequence[int]) -> Mapping[str, int | str]:
        """Return what dropped.csv says of a round in which these clients were left out."""
        return told_apart(dropped, self.attackers)

    def trained(self, num_rounds: int) -> np.ndarray:
        """Return the sorted clients that have trained after so many rounds, over all ranks."""
        found = np.zeros(self.task.num_clients, bool)
        for index in range(num_rounds):
            chosen = self.participants(index)
            found[chosen] = True
            if len(chosen) == len(self.seen):  # nobody is left
                break
        return np.flatnonzero(found)

    def _work(self) -> np.ndarray:
        """Return the steps of each shard in the first rounds [rounds, shards] int64, as drawn."""
        num_shards, num_rounds = len(self.shards), min(self.cfg.federation.rounds, ROUNDS)
        work = np.zeros((num_rounds, num_shards), np.int64)
        for index in range(num_rounds if self.world.size > 1 else 0):
            drawn = self.drawn(index)
            np.add.at(work[index], self.shard_of[drawn], self.steps[drawn])
        return work

    def local_participants(self, round_index: int) -> np.ndarray:
        """Return those of them that are hosted here."""
        chosen = self.participants(round_index)
        return chosen[np.isin(self.shard_of[chosen], self.hosted)]

    def visits(self, round_index: int) -> list[Cohort]:
        """Return the cohorts of a round as they train here, one after another."""
        if self.cfg.released.momentum:  # there is one shard
            order = self.visited(round_index)
            return [Cohort(0, order[place : place + 1]) for place in range(len(order))]
        return self.cohorts(self.participants(round_index))

    def cohorts(self, clients: np.ndarray) -> list[Cohort]:
        """Cut these clients, as far as they are hosted here, into cohorts."""
        size = self.cfg.federation.cohort_size
        assert size is not None
        return [
            cohort
            for shard, own in zip(self.hosted, self.by_shard(clients, self.hosted), strict=True)
            for alike in self.task.by_set(own)  # who tells the same classes apart
            for cohort in cut_cohorts(shard, alike, self.steps, size)
        ]

    def by_shard(self, clients: np.ndarray, shards: list[int]) -> list[np.ndarray]:
        """Return which of these clients belong to each of these shards."""
        of_each = self.shard_of[clients]
        order = np.argsort(of_each, kind="stable")
        ends = [np.searchsorted(of_each[order], shards, side) for side in ("left", "right")]
        return [clients[order[begin:end]] for begin, end in zip(*ends, strict=True)]

    def feature_groups(self, shards: list[int]) -> tuple[list[Views], list[Views]]:
        """Return the (training, test) image views of these shards, in groups to encode together.

        Only of clients that will read them: who trains is known before the first round.
        """
        scored = np.sort(np.concatenate(self.by_shard(self.scored, shards)))
        train = training_views(self.task, self.by_shard(self.reading, shards), self.cfg.data.views)
        return train, scored_views(self.task, scored)

    @property
    def reading(self) -> np.ndarray:
        """The sorted clients that read training images: in a round, or in epochs before they are
        scored."""
        due = np.intersect1d(self.unseen, self.scored)
        parts = [self.trained(self.cfg.federation.rounds), due]
        if self.cfg.evaluate.finetune_epochs:
            parts.append(np.intersect1d(self.seen, self.scored))
        return np.unique(np.concatenate(parts))
