"""Rounds: those of one run from its newest checkpoint to its last, scored, reported and saved."""

import logging
import time
from collections.abc import Generator
from functools import partial
from typing import Any

from pfedmma_dist.best import Best
from pfedmma_dist.build import zero_shot
from pfedmma_dist.config.identity import identity
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.federation.disclosure import drawn_facts
from pfedmma_dist.federation.evaluate import Scores
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.facts import facts_of
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.grouping import sample_of
from pfedmma_dist.federation.released.best_on_test import rule_of
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.foretold import Foretold
from pfedmma_dist.overview import clients_of
from pfedmma_dist.ownership import Owner
from pfedmma_dist.quantities.catalogue import of_rounds
from pfedmma_dist.quantities.quantity import Source
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.recording import recorded
from pfedmma_dist.restoring import load_into
from pfedmma_dist.run import checkpoint, loading, selection
from pfedmma_dist.run.files import writing
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.run.signals import StopSignal
from pfedmma_dist.saving import Saving
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
        self.saving = Saving(owner, self.best, self._seconds, self._metrics)
        self.done = 0
        self.saved_metrics: str | None = None
        self._load()
        if self.world.first:
            with writing(self.folder.path):
                checkpoint.tidy(self.folder.checkpoints)
                checkpoint.tidy(self.folder.best)
        progress.start_round = self.done
        cfg = federation.cfg
        scopes, self.sample = Examiner(federation).scope_names, sample_of(federation)
        first_row = self.done - (self.unscored is not None)
        with writing(self.folder.path):
            self.report = Report(
                self.folder, self.world, clients_of(federation.task), scopes, identity(cfg),
                to_yaml(cfg), first_row, self.saved_metrics, self.sample,
                federation.clock is not None, cfg.run.trackers or (),
            )  # fmt: skip
        self.reference = zero_shot(federation)
        self.scores: Scores | None = None
        self.latest: RoundRecord | None = None  # of the rounds of this start
        self.foretold = Foretold(federation) if self.world.first else None

    @property
    def saved(self) -> int:
        """The round of the newest checkpoint."""
        return self.saving.saved

    def go_on(self) -> Generator[RoundRecord, None, bool]:
        """Run what is left of the rounds and yield the record of each; return False where a
        signal, or run.pause_after, cut them short.

        Whoever leaves after a record may `save` and go on later.
        """
        self.stop.wait_for_round()
        self._foretell(self.foretold.words() if self.foretold and self.latest is None else "")
        federation, every = self.federation, self.federation.cfg.run.checkpoint_every
        if self.unscored is not None:
            stats, self.unscored = self.unscored, None
            if not self._record(self.done - 1, stats):
                return False
            yield self._latest
        pause = federation.cfg.run.pause_after or self.rounds
        for index in range(self.done, min(self.rounds, pause)):
            with self.progress.round(index, len(federation.local_participants(index))) as advance:
                federation.on_cohort = advance
                words = f"in round {index + 1}, which is not kept"
                federation.on_step = partial(self.stop.hurry, words)
                stats = federation.round(index, self.stop)
            self.done = index + 1
            due = self.done % every == 0 or self.done == self.rounds
            if stats.stop or (due and any(self.scoring.due(self.done, self.rounds))):
                # before its scores, which may outlast a time limit
                self.saving.state(self.done, stats)
            if stats.stop or not self._record(index, stats):
                self.report.close()
                return False
            if (due or self.done == pause) and self.saved != self.done:
                self.saving.state(self.done, None)
            yield self._latest
        if self.done < self.rounds:
            self.report.close()
        return self.done == self.rounds

    def save(self) -> None:
        """Write a checkpoint of the last finished round, unless there is one. Collective."""
        if self.saved != self.done:
            self.saving.state(self.done, None)

    @property
    def _latest(self) -> RoundRecord:
        assert self.latest is not None
        return self.latest

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
        drawn = drawn_facts(federation, self.rounds)
        if self.rounds and self.world.first:
            names = Examiner(federation).scope_names, domains
            told = selection.facts(
                rule_of(cfg), reported, self.rounds, read_metrics(self.folder.metrics),
                [one for one in of_rounds(*names) if one.source is Source.CLIENTS],
                reached,
            )  # fmt: skip
        results = [
            MethodResult.of("zero-shot CLIP", beside),
            MethodResult.of(
                cfg.method["name"], reached, federation.num_trained, cost, self._seconds(),
                selection.peeking(told) if told else None, drawn.get("privacy"),
            ),
        ]  # fmt: skip
        facts = {
            **facts_of(federation), "rounds": self.rounds, "selection": told or None,
            "rank_bytes_per_round": self.rank_bytes,  # what a rank really handed to the collective
            "feature_caches": caches,
            **({} if self.sample is None else {"scored": self.sample.facts(scores.percent)}),
            **drawn,
            **self.owner.facts,
        }  # fmt: skip
        if federation.clock is not None:
            facts["simulated"] = federation.clock.facts(self.rounds)
        self.world.entering("finishing")
        with writing(self.folder.path):
            self.report.finish(scores.percent, beside, results, facts)
            self.report.close()
            if self.world.first:
                self.scoring.forget()
        self.world.barrier()
        return True

    def _record(self, index: int, stats: RoundStats) -> bool:
        """Score a finished round where that is due and report it; return whether to go on."""
        federation, count = self.federation, index + 1
        self.rank_bytes, self.world.round_seconds = stats.rank_bytes, stats.seconds
        self.scores, (is_due, full) = None, self.scoring.due(count, self.rounds)
        if is_due:
            saved = self.folder.checkpoints / f"round_{count:06d}" if self.saved == count else None
            self.scores = self.scoring.of(full, saved, lambda: self.saving.state(count, stats))
            if not self.scores.is_whole:
                return False
            if self.foretold is not None and count < self.rounds:
                self._foretell(self.foretold.after(count, full, self.scores))
        record = recorded(federation, index, stats, self.scores, self.sample)
        if not stats.num_participants:
            log.info("round %d: nobody was drawn, or whoever was never trains here", count)
        with writing(self.folder.path):
            self.report.round(record)
        self.latest = record
        self.progress.round_done(record)
        if self.scores is not None and self.best.add(count, self.scores.percent):
            self.saving.best_round(count)
        stop = self.scores is not None and self.scores.stop
        if self.saved == count:  # that checkpoint says that scores are due
            self.saving.scored(count)
        elif stop:
            self.saving.state(count, None)
        return not stop

    def _metrics(self) -> str:
        """Return the table of the rounds so far, once that of the clock is on the disk, too."""
        if self.federation.clock is not None:
            self.report.laps(self.federation.clock.table(self.done))
        return self.report.metrics_text()

    def _foretell(self, words: str) -> None:
        if words:
            log.warning("%s", words)

    def _load(self) -> None:
        """Take in the newest checkpoint, if there is one."""
        place, check = self.folder.checkpoints, self.owner.check
        loaded = load_into(self.federation, place, check, before=self._look)
        if loaded is None:
            return
        self.done = self.saving.saved = loaded.round_index
        self.earlier_seconds = loaded.meta["seconds"]
        self.saved_metrics = loaded.metrics
        due = "" if self.unscored is None else ", whose scores are still due"
        log.info("going on after round %d of %d%s", self.done, self.rounds, due)

    def _look(self, loaded: loading.Loaded) -> None:
        """Look at a checkpoint; ValueError where it is another run's, or its best is lost."""
        self.best.take_back(loaded.metrics or "")
        self.unscored = RoundStats.of(loaded.meta["unscored"])

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.started
