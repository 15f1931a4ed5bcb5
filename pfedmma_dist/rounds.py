"""Rounds: those of one run from its newest checkpoint to its last, scored, reported and saved."""

import logging
import time
from collections.abc import Callable
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
from pfedmma_dist.federation.facts import facts_of
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.grouping import sample_of
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.ownership import Owner
from pfedmma_dist.quantities.catalogue import of_rounds
from pfedmma_dist.quantities.quantity import Source
from pfedmma_dist.quantities.sampled import scored_on
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.run import checkpoint, loading, selection
from pfedmma_dist.run.files import writing
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.run.signals import StopSignal
from pfedmma_dist.scoring import Scoring

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
        self.scoring = Scoring(federation, owner.folder, progress, stop)
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
        scopes, self.sample = Examiner(federation).scope_names, sample_of(federation)
        first_row = self.done - (self.unscored is not None)
        with writing(self.folder.path):
            self.report = Report(
                self.folder, self.world, clients, scopes, identity(cfg), to_yaml(cfg), first_row,
                self.saved_metrics, self.sample,
            )  # fmt: skip
        self.reference = zero_shot(federation)
        self.scores: Scores | None = None

    def go_on(self) -> bool:
        """Run what is left of the rounds; return False where a signal cut them short."""
        self.stop.wait_for_round()
        federation, every = self.federation, self.federation.cfg.run.checkpoint_every
        if self.unscored is not None and not self._record(self.done - 1, self.unscored):
            return False
        for index in range(self.done, self.rounds):
            with self.progress.round(index, len(federation.local_participants(index))) as advance:
                federation.on_cohort = self._heard(advance, index)
                stats = federation.round(index, self.stop)
            self.done = index + 1
            due = self.done % every == 0 or self.done == self.rounds
            if stats.stop or (due and any(self._due(self.done))):
                self._save(stats)  # before its scores, which may outlast a time limit
            if stats.stop or not self._record(index, stats):
                self.report.close()
                return False
            if due and self.saved != self.done:
                self._save(None)
        return True

    def _heard(self, advance: Callable[[int], None], index: int) -> Callable[[int], None]:
        """Return what is told of each cohort of a round, and gives up a long one after a signal."""

        def after_cohort(num_clients: int) -> None:
            advance(num_clients)
            self.stop.hurry(f"in round {index + 1}, which is not kept")

        return after_cohort

    def finish(self, caches: list[dict[str, Any]]) -> bool:
        """Score everything once more where that is missing, and write the result; return False
        where a signal cut the scores short."""
        federation = self.federation
        scores, reported = self.scores, self.best.round or self.done
        if reported != self.done:
            self.best.load(self.owner.check)
            scores = None
        if scores is None or set(Examiner(federation).scope_names) - set(scores.percent):
            place = self.folder.checkpoints if reported == self.done else self.folder.best
            saved = place / f"round_{reported:06d}" if self.rounds else None
            scores = self.scoring.of(True, saved)
            if not scores.is_whole:
                self.report.close()
                return False
        domains = federation.task.domains
        reached = summary(scores.percent, domains)
        beside = summary(self.reference.beside(scores), domains)
        cfg, cost, told = federation.cfg, federation.cost(), {}
        if self.rounds and self.world.first:
            names = Examiner(federation).scope_names, domains
            told = selection.facts(
                cfg.evaluate.select.value, reported, self.rounds, read_metrics(self.folder.metrics),
                [one for one in of_rounds(*names) if one.source is Source.CLIENTS],
                reached,
            )  # fmt: skip
        results = [
            MethodResult.of("zero-shot CLIP", beside),
            MethodResult.of(
                cfg.method["name"], reached, federation.num_trained, cost, self._seconds(),
                selection.peeking(told) if told else None,
            ),
        ]  # fmt: skip
        facts = {
            **facts_of(federation),
            "rounds": self.rounds,
            "selection": told or None,
            "rank_bytes_per_round": self.rank_bytes,  # what a rank really handed to the collective
            "feature_caches": caches,
            **self.owner.facts,
        }
        if self.sample is not None:
            facts["scored"] = self.sample.facts(scores.percent)
        self.world.entering("finishing")
        with writing(self.folder.path):
            self.report.finish(scores.percent, beside, results, facts)
            self.report.close()
            if self.world.first:
                self.scoring.forget()
        self.world.barrier()
        return True

    def _due(self, count: int) -> tuple[bool, bool]:
        """Return whether the state after so many rounds is scored, and whether on all test sets."""
        due = self.federation.cfg.evaluate
        full = count == self.rounds or bool(due.full_every and count % due.full_every == 0)
        return full or bool(due.every and count % due.every == 0), full

    def _record(self, index: int, stats: RoundStats) -> bool:
        """Score a finished round where that is due and report it; return whether to go on."""
        federation, count = self.federation, index + 1
        self.rank_bytes, self.world.round_seconds = stats.rank_bytes, stats.seconds
        self.scores, (is_due, full) = None, self._due(count)
        if is_due:
            saved = self.folder.checkpoints / f"round_{count:06d}" if self.saved == count else None
            self.scores = self.scoring.of(full, saved, lambda: self._save(stats))
            if not self.scores.is_whole:
                return False
        cost, percent = federation.cost(index), self.scores.percent if self.scores else {}
        record = RoundRecord(
            round_index=index,
            loss=stats.loss,
            samples=stats.num_samples,
            train_seconds=stats.seconds,
            evaluate_seconds=self.scores.seconds if self.scores else 0.0,
            client_up_bytes=BYTES * cost.up,
            client_down_bytes=BYTES * (cost.down + cost.start),
            rank_bytes=stats.rank_bytes,
            dropped=federation.told_apart(stats.dropped),
            scores=percent,
            scored_on=scored_on(self.sample, percent),
        )
        with writing(self.folder.path):
            self.report.round(record)
        self.progress.round_done(record)
        if self.scores is not None and self.best.add(count, self.scores.percent):
            self._write(self.folder.best, count, None, keep=None)
        stop = self.scores is not None and self.scores.stop
        if stop or self.saved == count:  # that checkpoint says that scores are due
            self._save(None)
        return not stop

    def _save(self, unscored: RoundStats | None) -> Path:
        folder, keep = self.folder, self.federation.cfg.run.keep_checkpoints
        path = self._write(folder.checkpoints, self.done, unscored, keep)
        self.saved = self.done
        if self.world.first:
            self.best.prune()
        return path

    def _write(
        self, folder: Path, done: int, unscored: RoundStats | None, keep: int | None
    ) -> Path:
        """Write the state after so many rounds; return its checkpoint."""
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
        return checkpoint.save(folder, self.world, done, shards, server, meta, keep, metrics)

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
        """Take in a checkpoint; ValueError where it is another run's, or its best is lost."""
        self.best.take_back(loaded.metrics)
        unscored = loaded.meta["unscored"]
        self.unscored = None if unscored is None else RoundStats.of(unscored)
        self.federation.load(loaded.shards, loaded.server, loaded.round_index)
        self.done = self.saved = loaded.round_index
        self.earlier_seconds = loaded.meta["seconds"]
        self.saved_metrics = loaded.metrics

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.started
