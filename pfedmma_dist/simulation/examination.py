"""Examination: a run as its folder has it, to look at and to score; nothing of it is changed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property

from pfedmma_dist.build import assemble, attach_features, zero_shot
from pfedmma_dist.config.keys import Config
from pfedmma_dist.cross import examined, is_elsewhere
from pfedmma_dist.federation.evaluate import Sitting
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.simulation.interrupt import Interrupt
from pfedmma_dist.simulation.reached import clients_of
from pfedmma_dist.simulation.records import ByScope, Scored
from pfedmma_dist.simulation.work import Voice, at_work
from pfedmma_dist.start import resolve
from pfedmma_dist.trained import restored
from pfedmma_dist.world import World


class Examination:
    """A run that does not go on: its newest checkpoint, or its start where there is none."""

    def __init__(
        self, config: Config, folder: RunFolder, world: World, *, has_begun: bool, quiet: bool
    ) -> None:
        """config: of the run, maybe with other data or prompts to score on. has_begun: whether the
        folder holds a state."""
        self.config, self.folder, self.world = deepcopy(config), folder, world
        self.has_begun = has_begun
        self._voice, self._stop = Voice(world, quiet=quiet), Interrupt()

    @property
    def federation(self) -> Federation:
        """The clients, without features."""
        return self._state[0]

    @property
    def scores(self) -> ByScope:
        """The scores that the folder has of clients; {}: none."""
        return clients_of(self.folder)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Borrow the process for a block of work on this run."""
        with at_work(self._voice, self._stop):
            self.world.asked_to_stop = self._stop.asked
            yield

    def score(self, words: Sequence[str]) -> Scored:
        """Score every client on all test sets, or on those of another data set.

        words: that say what differs from the run's configuration.
        """
        with self.at_work():
            elsewhere = is_elsewhere(self.config, self.folder)
            if elsewhere:
                found = examined(self.config, self.folder, self.world, words, self._voice.console)
                task = found.pair.there.task
                return Scored.of(found.rounds, found.scores.percent, found.beside, task)
        federation, rounds = self._state
        with self.at_work():
            resolve(self.config, self.world)
            with Progress(self.world, self._voice.console, rounds) as progress:
                tunes = bool(self.config.evaluate.finetune_epochs or len(federation.unseen))
                attach_features(federation, progress.step, training=tunes)
                reference = zero_shot(federation)
                scores = federation.evaluate(True, Sitting(bar=progress.part))
        return Scored.of(rounds, scores.percent, reference.beside(scores), federation.task)

    @cached_property
    def _state(self) -> tuple[Federation, int]:
        """The federation, and the rounds that it has trained."""
        with self.at_work():
            if self.has_begun:
                return restored(self.config, self.folder, self.world)
            resolve(self.config, self.world)
            return assemble(self.config, self.world), 0
