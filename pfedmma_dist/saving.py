"""Saving: the state of a run between two rounds, and whether its scores are still due."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pfedmma_dist.best import Best
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.ownership import Owner
from pfedmma_dist.run import checkpoint
from pfedmma_dist.run.files import writing


class Saving:
    """Writes a run's checkpoints, and its best round's; each state once. All of it is collective.

    A round is saved before it is scored, with what its row of the tables still lacks; once it is
    scored, its checkpoint is told so.
    """

    def __init__(
        self, owner: Owner, best: Best, seconds: Callable[[], float], metrics: Callable[[], str]
    ) -> None:
        """seconds: spent on the run so far. metrics: the table of the rounds so far."""
        self.owner, self.best, self.federation = owner, best, best.federation
        self.seconds, self.metrics = seconds, metrics
        self.saved = 0  # the round of the newest checkpoint

    def state(self, done: int, unscored: RoundStats | None) -> Path:
        """Write the checkpoint of the state after so many rounds; return it.

        unscored: the last of them, where its scores are due.
        """
        folder, keep = self.owner.folder, self.federation.cfg.run.keep_checkpoints
        path = self._write(folder.checkpoints, done, unscored, keep)
        self.saved = done
        self._prune()
        return path

    def scored(self, done: int) -> None:
        """Say of the newest checkpoint that the scores are in its table."""
        folder, world = self.owner.folder, self.federation.world
        world.entering("saving")
        if checkpoint.settle(folder.checkpoints, world, done, self._facts(None), self._table()):
            self._prune()
        else:
            self.state(done, None)

    def best_round(self, done: int) -> None:
        """Keep the state after so many rounds as the best one."""
        self._write(self.owner.folder.best, done, None, keep=None)

    def _write(
        self, folder: Path, done: int, unscored: RoundStats | None, keep: int | None
    ) -> Path:
        world = self.federation.world
        world.entering("saving")
        shards, server = self.federation.state()
        facts, table = self._facts(unscored), self._table()
        return checkpoint.save(folder, world, done, shards, server, facts, keep, table)

    def _facts(self, unscored: RoundStats | None) -> dict[str, Any]:
        federation = self.federation
        return {
            "fingerprint": federation.layout.fingerprint(),
            "num_shards": federation.cfg.federation.num_shards,
            "seconds": self.seconds(),
            "unscored": None if unscored is None else asdict(unscored),
            **self.owner.facts,
        }

    def _table(self) -> str:
        with writing(self.owner.folder.path):
            return self.metrics()

    def _prune(self) -> None:
        if self.federation.world.first:
            self.best.prune()
