"""Train a federation: `torchrun --nproc_per_node=N -m pfedmma_dist.train [FILE.yaml] [key=value]`.

The room where everything meets. Exit codes: 0 finished, 2 something to mend, 75 stopped by a signal
after saving (the same command again goes on from there), 1 another rank was lost, 128 + N ended at
once by signal N. A stop signal that cannot be obeyed after saving, as another rank does not come,
ends with 75 too, at the last checkpoint.
"""

import logging
import sys
import time
from dataclasses import asdict
from typing import Any

from pfedmma_dist import command
from pfedmma_dist.build import assemble, attach_features, zero_shot
from pfedmma_dist.config.command_line import to_yaml, with_default
from pfedmma_dist.config.identity import identity, run_folder
from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange import BYTES
from pfedmma_dist.federation.evaluate import Scores
from pfedmma_dist.federation.federation import Federation, RoundStats
from pfedmma_dist.methods import METHODS
from pfedmma_dist.ownership import Owner
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.run import checkpoint, result
from pfedmma_dist.run.environment import environment
from pfedmma_dist.run.files import write_json, write_text_atomically, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.pictures import draw_missing
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.run.signals import STOPPED, StopSignal
from pfedmma_dist.run.table import show
from pfedmma_dist.run.together import together
from pfedmma_dist.start import settle
from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return command.run(with_default(sys.argv[1:] if argv is None else argv), train)


def train(cfg: Config, world: World) -> int:
    """Train the run of a configuration, or go on with it."""
    folder = RunFolder(run_folder(cfg, METHODS))
    with StopSignal() as stop:
        world.asked_to_stop = stop.asked
        folder.claim(world)
        try:
            return _train(cfg, folder, world, stop)
        finally:
            folder.release()


def _train(cfg: Config, folder: RunFolder, world: World, stop: StopSignal) -> int:
    console = configure_logging(world, folder)
    settle(cfg, folder, world)
    finished = together(world, lambda: result.read(folder), ValueError)
    if finished is None:
        log.info(
            "%s on %s: %d rank(s) on %s with %d thread(s), into %s",
            cfg.method["name"], cfg.data.name, world.size, world.device.type, cfg.run.threads,
            folder.path,
        )  # fmt: skip
        federation = assemble(cfg, world)
        sizes = federation.sizes
        log.info("%d clients with %d to %d training images", len(sizes), sizes.min(), sizes.max())
        owner = Owner(federation, folder)
        together(world, owner.check_newest, ValueError)
        together(world, lambda: _describe(cfg, owner, world), ValueError)
        rounds = cfg.federation.rounds if federation.layout.num_trained else 0
        with Progress(world, console, rounds) as progress:
            caches = attach_features(federation, progress.step)
            run = _Run(federation, owner, rounds, progress, stop)
            try:
                if not run.go_on():
                    log.info(
                        "stopped by a signal and saved after round %d of %d; the same command "
                        "goes on",
                        run.done, rounds,
                    )  # fmt: skip
                    return STOPPED
                run.finish([{"place": cache.place, "bytes": cache.num_bytes} for cache in caches])
            except Stopped as stopped:
                saved = f"goes on after round {run.saved}, the last that was saved"
                again = saved if run.saved else "begins anew, as nothing was saved yet"
                raise Stopped(f"{stopped}; the same command {again}") from stopped
        finished = result.read(folder)
    else:
        log.info("%s holds a finished run; this is its result", folder.path)
        if world.first:
            draw_missing(folder)
    if world.first:
        for path in result.altered(folder, finished):
            log.warning("%s is not as the run left it", path)
        title = f"{cfg.method['name']} on {cfg.data.name}, seed {cfg.seed}"
        show(title, result.rows(folder, finished))
        sys.stdout.write(f"run folder   {folder.path}\n")
        sys.stdout.write(f"TensorBoard  tensorboard --logdir {folder.path.parent}\n")
    return 0


def _describe(cfg: Config, owner: Owner, world: World) -> None:
    """Write what the run is and what it runs on, now that nothing speaks against it."""
    folder = owner.folder
    if world.first:
        with writing(folder.path):
            owner.write_images()
            write_text_atomically(folder.config, to_yaml(cfg))
            write_json(folder.environment, environment(world))


class _Run:
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
        self.done = self.saved = 0
        self.saved_metrics: str | None = None
        self._load()
        progress.start_round = self.done
        cfg, task = federation.cfg, federation.task
        clients = ClientTable.count(
            task.num_clients,
            len(task.class_sets[task.train_classes].names),
            lambda client: task.labels(task.train_classes, task.train.rows(client)),
            task.domains,
        )
        scopes = [scope.name for scope in task.scopes]
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
        scores = self.scores
        if scores is None or any(
            scope.name not in scores.percent for scope in federation.task.scopes
        ):
            scores = federation.evaluate(full=True)
        cfg, cost = federation.cfg, federation.exchange.cost()
        results = [
            MethodResult.of("zero-shot CLIP", self.zero_shot),
            MethodResult.of(
                cfg.method["name"],
                summary(scores.percent, federation.task.domains),
                federation.layout.num_trained,
                cost,
                self._seconds(),
            ),
        ]
        facts = {
            "method": cfg.method["name"],
            "data": cfg.data.name,
            "task": cfg.data.task.value,
            "seed": cfg.seed,
            "rounds": self.rounds,
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
        cost = federation.exchange.cost()
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
        return self.scores is not None and self.scores.stop

    def _save(self, unscored: RoundStats | None) -> None:
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
        checkpoint.save(
            self.folder.checkpoints, self.world, self.done, shards, server, meta,
            cfg.run.keep_checkpoints, metrics,
        )  # fmt: skip
        self.saved = self.done

    def _load(self) -> None:
        federation = self.federation
        loaded = checkpoint.load(
            self.folder.checkpoints,
            self.world,
            federation.hosted,
            federation.layout.fingerprint(),
            federation.cfg.federation.num_shards,
            self.owner.check,
            self._accept,
        )
        if loaded is not None:
            log.info("going on after round %d of %d", self.done, self.rounds)

    def _accept(self, loaded: checkpoint.Loaded) -> None:
        """Take in the state of a checkpoint; ValueError where it cannot be this run's."""
        unscored = loaded.meta["unscored"]
        self.unscored = None if unscored is None else RoundStats.of(unscored)
        self.federation.load(loaded.shards, loaded.server, loaded.round_index)
        self.done = self.saved = loaded.round_index
        self.earlier_seconds = loaded.meta["seconds"]
        self.saved_metrics = loaded.metrics

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.started


if __name__ == "__main__":
    command.leave(main())
