"""Scoring: the scores of one state of a run, in as many starts as they take."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pfedmma_dist.federation.evaluate import Scores, Sitting
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run import manifest, unfinished
from pfedmma_dist.run.files import writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.signals import StopSignal
from pfedmma_dist.run.unfinished import Unfinished

KEEP_SECONDS = 30.0
"""Scoring that is lost at most where a process is killed."""


class Scoring:
    """Scores a federation, and keeps what it has where it may have to stop."""

    def __init__(
        self, federation: Federation, folder: RunFolder, progress: Progress, stop: StopSignal
    ) -> None:
        self.federation, self.world = federation, federation.world
        self.folder, self.file = folder, folder.unfinished_scores
        self.progress, self.stop = progress, stop

    def due(self, count: int, rounds: int) -> tuple[bool, bool]:
        """Return whether the state after `count` of so many rounds is scored, and whether on all
        test sets."""
        asked = self.federation.cfg.evaluate
        assert asked.every is not None  # train decides what null leaves open
        full = count == rounds or bool(asked.full_every and count % asked.full_every == 0)
        return full or bool(asked.every and count % asked.every == 0), full

    def of(self, full: bool, saved: Path | None, save: Callable[[], Path] | None = None) -> Scores:
        """Score all clients on their own images, if `full` on all test sets; cut short by a signal,
        what is scored is on the disk, and so is the state that it is of.

        saved: the checkpoint of the state; None: there is none yet, and `save` makes it where
        scoring turns out long. Collective.
        """
        before = self._found(saved)
        began, kept_at = time.monotonic(), None if before is None else -KEEP_SECONDS
        tables = {}
        if saved is not None:
            tables = unfinished.shared(self.world, before, self.federation.task.num_clients)
        earlier = 0.0 if before is None else before.seconds

        def write() -> None:
            nonlocal saved, kept_at
            if saved is None and save is not None:
                saved = save()
            kept_at = time.monotonic()
            if self.world.first and saved is not None:
                spent = earlier + kept_at - began
                with writing(self.folder.path):
                    state = manifest.state_of(manifest.read(saved))
                    unfinished.write(self.file, Unfinished(state, sitting.so_far, spent))

        def keep() -> None:
            if kept_at is None or time.monotonic() - kept_at > KEEP_SECONDS:
                write()

        # epochs before a client is scored may be long, and no meeting is in them
        self.federation.on_step = partial(self.stop.hurry, "in epochs before scores, kept so far")
        sitting = Sitting(self.stop, keep, self.progress.part, tables)
        scores = self.federation.evaluate(full, sitting)
        if not scores.is_whole or kept_at is not None:  # the result may be long in coming, too
            write()
        return replace(scores, seconds=earlier + scores.seconds)

    def forget(self) -> None:
        """Remove what no start has to go on from; rank 0's to call."""
        unfinished.remove(self.file)

    def _found(self, saved: Path | None) -> Unfinished | None:
        """Return what an earlier start has scored of this state, on rank 0."""
        if saved is None or not self.world.first or not self.file.exists():
            return None
        state = manifest.state_of(manifest.read(saved))
        return unfinished.read(self.file, state, self.federation.task.num_clients)
