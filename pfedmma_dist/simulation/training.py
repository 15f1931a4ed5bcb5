"""Training: one start of a run, from the claim on its folder to its result.

The command and the library run this same code. All of it is collective.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from pfedmma_dist.build import assemble, attach_features
from pfedmma_dist.config.identity import identity, run_folder
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.tuned import untuned
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.images.several import by_set
from pfedmma_dist.data.sets.look import account
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation.cadence import cadence
from pfedmma_dist.federation.disclosure import forewarned
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.idle import idle
from pfedmma_dist.files_read import altered
from pfedmma_dist.methods import METHODS
from pfedmma_dist.ownership import Owner
from pfedmma_dist.rounds import Rounds
from pfedmma_dist.run import result
from pfedmma_dist.run.earlier import with_earlier
from pfedmma_dist.run.environment import environment
from pfedmma_dist.run.files import write_json, write_text_atomically, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import begin_log, drop_log
from pfedmma_dist.run.manifest import candidates
from pfedmma_dist.run.pictures import draw_missing
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import RoundRecord
from pfedmma_dist.run.signals import StopSignal
from pfedmma_dist.run.together import together
from pfedmma_dist.run.trackers.registry import refuse_missing
from pfedmma_dist.start import settle
from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that a start takes at most to look at all files, also those that are left out."""


class Training:
    """One start of a run: `open` it, go through its `rounds` within its `progress`, `close` it."""

    def __init__(self, cfg: Config, world: World, stop: StopSignal) -> None:
        """cfg: its open keys are filled in place."""
        self.cfg, self.world, self.stop = cfg, world, stop
        self.folder = RunFolder(run_folder(cfg, METHODS))
        self.result: dict[str, Any] | None = None  # of a finished run
        self.run: Rounds | None = None  # once its features are there
        self.federation: Federation | None = None
        self._owner: Owner | None = None
        self._caches: list[dict[str, Any]] = []

    def open(self, begin_to_speak: Callable[[World, RunFolder], Console]) -> None:
        """Claim the folder and look what it holds; then `result` says whether that is finished,
        and if it is not, all is read and checked that the first round needs.

        begin_to_speak: sets up logging, and returns the console of `progress`.
        """
        world, folder = self.world, self.folder
        world.asked_to_stop = self.stop.asked
        folder.claim(world)
        console = begin_to_speak(world, folder)
        world.tell()
        settle(self.cfg, folder, world)
        self.result = together(world, lambda: result.read(folder), ValueError)
        if self.result is None:
            self._prepare(console)
        else:
            self._look_again()

    def rounds(self) -> Iterator[RoundRecord]:
        """Yield the record of each round that is left, as it is done, and at last write the
        `result`; without one where a signal or run.pause_after has cut it short, and all is saved.

        Whoever has left in between may come again: it goes on.
        """
        if self.run is None:
            self._attach()
        run = self._running
        try:
            is_whole = (yield from run.go_on()) and run.finish(self._caches)
        except Stopped as stopped:
            saved = f"goes on after round {run.saved}, the last that was saved"
            again = saved if run.saved else "begins anew, as nothing was saved yet"
            raise Stopped(f"{stopped}; the same command {again}") from stopped
        if is_whole:
            self.result = result.read(self.folder)
            return
        paused = not self.stop() and self.cfg.run.pause_after is not None
        log.info(
            "stopped by %s and saved after round %d of %d; the same command%s goes on",
            "run.pause_after" if paused else "a signal", run.done, run.rounds,
            " without it" if paused else "",
        )  # fmt: skip

    def close(self) -> None:
        """Close the files and let others into the folder; what was not saved is lost."""
        if self.run is not None:
            self.run.report.close()
        self.folder.release()

    def _prepare(self, console: Console) -> None:
        """Read the data and the CLIP, check all that can be, and let the folder stay."""
        cfg, world, folder = self.cfg, self.world, self.folder
        log.info(
            "%s on %s: %d rank(s) on %s with %d thread(s), into %s",
            cfg.method["name"], cfg.data.name, world.size, world.device.type, cfg.run.threads,
            folder.path,
        )  # fmt: skip
        words = untuned(cfg, METHODS, SOURCES)
        if words and world.first:
            log.warning("%s", words)
        trackers = cfg.run.trackers or ()
        together(world, lambda: refuse_missing(trackers) if world.first else None, ValueError)
        federation = self.federation = assemble(cfg, world)
        if world.first:
            for words in idle(cfg, federation.method, federation.layout):
                log.warning("%s", words)
            for words in forewarned(federation):
                log.warning("%s", words)
            for images in by_set(federation.task.images):
                tell_account(images)
        _decide(federation)
        sizes = federation.sizes
        log.info("%d clients with %d to %d training images", len(sizes), sizes.min(), sizes.max())
        owner = self._owner = Owner(federation, folder)
        owner.agree()
        together(world, owner.check_newest, ValueError)
        together(world, lambda: self._begin(owner), ValueError)
        num_rounds = cfg.federation.rounds if federation.layout.num_trained else 0
        self.progress = Progress(world, console, num_rounds)

    def _attach(self) -> None:
        """Give the federation its features, and take in the newest checkpoint."""
        assert self.federation is not None and self._owner is not None
        try:
            caches = attach_features(self.federation, self.progress.step)
        except ValueError:  # they have no room, say: nothing to keep, after all
            drop_log()
            self.folder.stay(False)
            raise
        self._caches = [{"place": cache.place, "bytes": cache.num_bytes} for cache in caches]
        self.run = Rounds(
            self.federation, self._owner, self.progress.rounds, self.progress, self.stop
        )

    @property
    def _running(self) -> Rounds:
        assert self.run is not None
        return self.run

    def _begin(self, owner: Owner) -> None:
        """Write what the run is and what it runs on, now that nothing speaks against it."""
        folder = self.folder
        self._keep()
        if self.world.first:
            with writing(folder.path):
                owner.write_images()
                write_text_atomically(folder.config, to_yaml(self.cfg))
                found, words = environment(self.world), ""
                if candidates(folder.checkpoints):
                    found, words = with_earlier(folder, found)
                write_json(folder.environment, found)
            if words:
                log.warning("%s", words)

    def _look_again(self) -> None:
        """Say that the run is finished, and draw those of its pictures that are missing."""
        folder = self.folder
        together(self.world, self._keep, ValueError)
        log.info("%s holds a finished run; this is its result", folder.path)
        if self.world.first:
            assert self.result is not None
            for key, path in altered(self.cfg, self.result).items():
                words = "%s: %s has changed since the finished run read it, and is not looked at"
                remedy = "restore it, or set run.folder to a new folder to train with it"
                log.warning(f"{words}; {remedy}", key, path)
            draw_missing(folder, identity(self.cfg), to_yaml(self.cfg))

    def _keep(self) -> None:
        """Let the folder stay, and log into it."""
        if self.world.first:
            self.folder.create()
            with writing(self.folder.path):
                begin_log()


def tell_account(images: Images) -> None:
    """Say how many files below the image folder are read, and which are left out and why."""
    found = account(images, seconds=PATIENCE)
    if found is not None:
        log.log(logging.INFO if found.is_quiet else logging.WARNING, "%s", found.line())


def _decide(federation: Federation) -> None:
    """Fill the open keys whose value follows from the task."""
    due = federation.cfg.evaluate
    if due.every is None:
        found = cadence(federation)
        due.every = found.every
        if found.words:
            log.info("%s", found.words)
