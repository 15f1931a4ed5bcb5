"""Session: a run in memory, from its first round here to its result, within a larger program."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import torch

from pfedmma_dist.config.keys import Config
from pfedmma_dist.federation.evaluate import Sitting
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.rounds import Rounds
from pfedmma_dist.simulation.interrupt import Interrupt
from pfedmma_dist.simulation.records import ByScope, Round, Scored
from pfedmma_dist.simulation.training import Training
from pfedmma_dist.simulation.work import Voice, at_work
from pfedmma_dist.start import resolve
from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


class Session:
    """A training that a program goes through as it likes: it may leave, look, and come again."""

    def __init__(self, config: Config, world: World, *, quiet: bool) -> None:
        """Claim the run folder, and read what the first round needs."""
        self.stop, self.voice = Interrupt(), Voice(world, quiet=quiet)
        self.training = Training(deepcopy(config), world, self.stop)
        self.scores: ByScope = {}  # the newest: scope -> [K] percent
        self._is_open = False
        try:
            with self.at_work():
                self.training.open(self.voice.begin)
            self._is_open = True
        finally:
            if not self._is_open:
                self.close()

    @property
    def world(self) -> World:
        return self.training.world

    @property
    def is_finished(self) -> bool:
        """Whether the result is there."""
        return self.training.result is not None

    @property
    def federation(self) -> Federation | None:
        """The clients as they are now; None until their features are there."""
        return None if self.training.run is None else self.training.federation

    @property
    def run(self) -> Rounds | None:
        """What goes on; None until the features are there."""
        return self.training.run

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Borrow the process for a block of work on this run."""
        training = self.training
        prepare = partial(resolve, training.cfg, training.world) if self._is_open else lambda: None
        with at_work(self.voice, self.stop, prepare):
            training.world.asked_to_stop = self.stop.asked
            try:
                yield
            except Stopped as stopped:
                training.world.say_leaving()
                if isinstance(self.stop.error(""), KeyboardInterrupt):
                    raise KeyboardInterrupt(str(stopped)) from stopped
                raise

    def rounds(self) -> Iterator[Round]:
        """Yield each round that is left, as it is done; behind the last the run is finished.

        Whoever leaves has all saved that is done, on all ranks: where one leaves, all do. A request
        to stop raises what the program expects of one, once all is saved.
        """
        training, steps = self.training, self.training.rounds()
        while True:
            with self.at_work(), training.progress:
                record = next(steps, None)
            if record is None:
                break
            if record.scores:
                self.scores = record.scores
            assert training.federation is not None
            has_left = True
            try:
                yield Round.of(record, training.federation.task.domains)
                has_left = False
            finally:
                if has_left and not sys.is_finalizing():
                    self._part(True)
            if self._part(False):
                with self.at_work():
                    log.info("another rank has left the rounds: saved, and left here as well")
                return
        is_asked = self.stop.asked_at is not None  # maybe in the midst of the last scores
        if is_asked or not (self.is_finished or self.is_paused):
            raise self._told()

    @property
    def is_paused(self) -> bool:
        """Whether run.pause_after has cut the rounds short, and closed the files."""
        run, pause = self.training.run, self.training.cfg.run.pause_after
        return not self.is_finished and bool(run and pause and run.done >= pause)

    def score(self) -> Scored:
        """Score every client as it is now on all test sets. Collective."""
        run, training = self.training.run, self.training
        assert run is not None and training.federation is not None
        with self.at_work(), training.progress:
            found = training.federation.evaluate(True, Sitting(bar=training.progress.part))
        reported = run.best.round if self.is_finished else None
        beside = run.reference.beside(found)
        return Scored.of(reported or run.done, found.percent, beside, training.federation.task)

    def save(self) -> None:
        """Write a checkpoint of what is done, unless there is one. Collective."""
        if self.training.run is not None and not self.is_finished:
            with self.at_work():
                self.training.run.save()

    def close(self) -> None:
        """Close the files and let others into the folder."""
        self.training.close()
        self.voice.close()

    def _part(self, leaves: bool) -> bool:
        """Return whether any rank leaves the rounds here, with all saved if so; raise what a
        request to stop raises where one has come to any. Collective."""
        is_asked = self.stop.asked_at is not None
        if self.world.size > 1:
            with self.at_work():
                told = torch.tensor([int(leaves), int(is_asked)])
                leaves, is_asked = map(bool, self.world.exact_sum(told))
        if leaves or is_asked:
            self.save()
        if is_asked:
            raise self._told()
        return leaves

    def _told(self) -> BaseException:
        """Return the error of a run that was asked to stop and is saved."""
        if self.is_finished:
            return self.stop.error("stopped by a signal, once the run was finished")
        run = self.training.run
        assert run is not None
        return self.stop.error(
            f"stopped by a signal, and saved after round {run.saved} of {run.rounds}; train() or "
            "rounds() goes on from there"
        )
