"""Rounds: those of one run from its newest checkpoint to its last, scored, reported and saved."""

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pfedmma_dist.best import Best
from pfedmma_dist.build import zero_shot
from pfedmma_dist.config.command_line import to_yaml
from pfedmma_dist.config.identity import identity
from pfedmma_dist.exchange import BYTES
from pfedmma_dist.federation.evaluate import Scores
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.ownership import Owner
from pfedmma_dist.quantities.catalogue import of_rounds
from pfedmma_dist.quantities.quantity import Source
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.run import checkpoint, loading, selection
from pfedmma_dist.run.files import writing
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.run.signals import StopSignal

log = logging.getLogger(__name__)


class Rounds:
    """The rounds of one run, from its newest checkpoint to its last."""

    def __init__(
        self,
        federation: Federation,
        owner: Owner,
        rounds: int,
        progress: Progress,
        stop: StopSignal,
    ) -> None:
        self.federation, self.owner, self.folder = federation, owner, owner.folder
        self.rounds = rounds
        self.progress, self.stop, self.world = progress, stop, federation.world
        self.started = time.perf_counter()
        self.earlier_seconds = 0.0  # of the starts before this one
        self.unscored: RoundStats | None = None  # a round whose scores a signal put off
        self.rank_bytes: int | None = None  # of one round
        self.best = Best(federation, owner.folder)
        self.done = self.saved = 0
        self.saved_metrics: str | None = None
        self._load()
        if self.world.first:
            with writing(self.folder.path):
                checkpoint.tidy(self.folder.checkpoints)
                checkpoint.tidy(self.folder.best)
        progress.start_round = self.done
        cfg, task = federation.cfg, federation.task
        clients = ClientTable.count(
            len(task.class_sets[task.train_classes].names),
            task.num_clients,
            task.train.owners(),
            task.labels(task.train_classes, task.train.members),
            task.domains,
        )
        scopes = Examiner(federation).scope_names
        first_row = self.done - (self.unscored is not None)
        with writing(self.folder.path):
            self.report = Report(
                self.folder, self.world, clients, scopes, identity(cfg), to_yaml(cfg), first_row,
                self.saved_metrics,
            )  # fmt: skip
        self.zero_shot = summary(zero_shot(federation).percent, task.domains)
        self.scores: Scores | None = None

    def go_on(self) -> bool:
        """Run what is left of the rounds; return False where a signal cut them short."""
        self.stop.wait_for_round()
        federation, every = self.federation, self.federation.cfg.run.checkpoint_every
        if self.unscored is not None and self._record(self.done - 1, self.unscored):
            self._save(None)
            return False
        for index in range(self.done, self.rounds):
            with self.progress.round(index, len(federation.local_participants(index))) as advance:
                federation.on_cohort = advance
                stats = federation.round(index, self.stop)
            put_off = stats if stats.stop else None
            stopped = stats.stop or self._record(index, stats)
            self.done = index + 1
            if stopped or self.done % every == 0 or self.done == self.rounds:
                self._save(put_off)
            if stopped:
                self.report.close()
                return False
        return True

    def finish(self, caches: list[dict[str, Any]]) -> None:
        """Score everything once more where that is missing, and write the result."""
        federation = self.federation
        scores, reported = self.scores, self.best.round or self.done
        if reported != self.done:
            self.best.load(self.owner.check)
            scores = None
        if scores is None or set(Examiner(federation).scope_names) - set(scores.percent):
            scores = federation.evaluate(full=True)
        reached = summary(scores.percent, federation.task.domains)
        cfg, cost, told = federation.cfg, federation.cost(), {}
        if self.rounds and self.world.first:
            names = Examiner(federation).scope_names, federation.task.domains
            told = selection.facts(
                cfg.evaluate.select.value, reported, self.rounds, read_metrics(self.folder.metrics),
                [one for one in of_rounds(*names) if one.source is Source.CLIENTS],
                reached,
            )  # fmt: skip
        results = [
            MethodResult.of("zero-shot CLIP", self.zero_shot),
            MethodResult.of(
                cfg.method["name"],
                reached,
                federation.num_trained,
                cost,
                self._seconds(),
                selection.peeking(told) if told else None,
            ),
        ]
        facts = {
            "method": cfg.method["name"],
            "data": cfg.data.name,
            "task": cfg.data.task.value,
            "seed": cfg.seed,
            "rounds": self.rounds,
            "selection": told or None,
            "ranks": self.world.size,
            "rank_bytes_per_round": self.rank_bytes,  # what a rank really handed to the collective
            "feature_caches": caches,
            **self.owner.facts,
        }
        self.world.entering("finishing")
        with writing(self.folder.path):
            self.report.finish(scores.percent, self.zero_shot, results, facts)
            self.report.close()
        self.world.barrier()

    def _record(self, index: int, stats: RoundStats) -> bool:
        """Score a finished round where that is due and report it; return whether to stop."""
        federation, due = self.federation, self.federation.cfg.evaluate
        count = index + 1
        full = count == self.rounds or bool(due.full_every and count % due.full_every == 0)
        self.rank_bytes, self.world.round_seconds = stats.rank_bytes, stats.seconds
        self.scores = None
        if full or (due.every and count % due.every == 0):
            self.scores = federation.evaluate(full, self.stop)
            self.world.round_seconds += self.scores.seconds
        cost = federation.cost(index)
        record = RoundRecord(
            round_index=index,
            loss=stats.loss,
            samples=stats.num_samples,
            train_seconds=stats.seconds,
            evaluate_seconds=self.scores.seconds if self.scores else 0.0,
            client_up_bytes=BYTES * cost.up,
            client_down_bytes=BYTES * (cost.down + cost.start),
            rank_bytes=stats.rank_bytes,
            scores=self.scores.percent if self.scores else {},
        )
        with writing(self.folder.path):
            self.report.round(record)
        self.progress.round_done(record)
        if self.scores is not None and self.best.add(count, self.scores.percent):
            self._write(self.folder.best, count, None, keep=None)
        return self.scores is not None and self.scores.stop

    def _save(self, unscored: RoundStats | None) -> None:
        folder, keep = self.folder, self.federation.cfg.run.keep_checkpoints
        self._write(folder.checkpoints, self.done, unscored, keep)
        self.saved = self.done
        if self.world.first:
            self.best.prune()

    def _write(
        self, folder: Path, done: int, unscored: RoundStats | None, keep: int | None
    ) -> None:
        """Write the state after so many rounds."""
        self.world.entering("saving")
        federation, cfg = self.federation, self.federation.cfg
        shards, server = federation.state()
        meta = {
            "fingerprint": federation.layout.fingerprint(),
            "num_shards": cfg.federation.num_shards,
            "seconds": self._seconds(),
            "unscored": None if unscored is None else asdict(unscored),
            **self.owner.facts,
        }
        with writing(self.folder.path):
            metrics = self.report.metrics_text()
        checkpoint.save(folder, self.world, done, shards, server, meta, keep, metrics)

    def _load(self) -> None:
        federation = self.federation
        loaded = loading.load(
            self.folder.checkpoints,
            self.world,
            federation.hosted,
            federation.layout.fingerprint(),
            federation.cfg.federation.num_shards,
            self.owner.check,
            self._accept,
        )
        if loaded is not None:
            due = "" if self.unscored is None else ", whose scores are still due"
            log.info("going on after round %d of %d%s", self.done, self.rounds, due)

    def _accept(self, loaded: loading.Loaded) -> None:
        """Take in the state of a checkpoint; ValueError where it cannot be this run's, and where
        the best round before it has lost its own."""
        self.best.take_back(loaded.metrics)
        unscored = loaded.meta["unscored"]
        self.unscored = None if unscored is None else RoundStats.of(unscored)
        self.federation.load(loaded.shards, loaded.server, loaded.round_index)
        self.done = self.saved = loaded.round_index
        self.earlier_seconds = loaded.meta["seconds"]
        self.saved_metrics = loaded.metrics

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.started
