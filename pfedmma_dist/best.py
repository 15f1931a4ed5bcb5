"""Best: the round that does best by the rule, and its state, kept until it is beaten.

A state is written below `best/` as a checkpoint is, in a folder of its own, the moment its round
turns out the best. One that is beaten stays until no checkpoint could lead back to it.
"""

import logging
from collections.abc import Mapping

import numpy as np

from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.released.best_on_test import rule_of
from pfedmma_dist.restoring import load_into
from pfedmma_dist.run import checkpoint, loading, manifest, selection, stored
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import candidates, round_of, shard_file
from pfedmma_dist.run.together import TogetherError

log = logging.getLogger(__name__)


class Best:
    """The best of the scored rounds so far, counted from 1; nothing where the last is reported."""

    def __init__(self, federation: Federation, folder: RunFolder) -> None:
        self.federation, self.folder = federation, folder
        self.rule = rule_of(federation.cfg)
        self.chooses = self.rule in selection.GOES_BY
        self.validated: dict[int, float] = {}  # round -> the score that the rule goes by

    @property
    def words(self) -> str:
        """What the rule calls the round that it chooses."""
        return selection.CHOICES[self.rule]

    @property
    def round(self) -> int | None:
        """Return the best round, None where none is chosen or known."""
        return selection.best(self.validated)

    def add(self, index: int, scores: Mapping[str, np.ndarray]) -> bool:
        """Add the scores of a round; return whether its state is to be kept, as it is the best."""
        if not self.chooses:
            return False
        self.validated[index] = selection.number(scores, self.rule)
        return self.round == index

    def take_back(self, table: str) -> None:
        """Know again what metrics.csv knows; one of DAMAGE where the best round has lost its state.

        Collective in effect, not in calls: each rank looks at the files that it would load.
        """
        if not self.chooses:
            return
        self.validated = selection.read_numbers(table, self.rule)
        if self.round is not None:
            path = self.folder.best / f"round_{self.round:06d}"
            record = manifest.read(path)
            for name in (manifest.SERVER, *map(shard_file, self.federation.hosted)):
                stored.verify(path, record, name)

    def prune(self) -> None:
        """Delete the states that no checkpoint leads back to; rank 0's to call."""
        if self.chooses:
            oldest = min(map(round_of, candidates(self.folder.checkpoints)))
            checkpoint.keep_only(self.folder.best, selection.wanted(self.validated, oldest))

    def load(self, check: loading.Check) -> None:
        """Give the federation the state of the best round. TogetherError where it is not there.

        check: as of `loading.load`. Collective.
        """
        index, folder = self.round, self.folder.best
        if load_into(self.federation, folder, check, only=index) is None:
            raise TogetherError(
                f"run.folder: {folder} does not hold round {index}, {self.words}; restore it from "
                "a copy, or set evaluate.select=last and no released.best_on_test to score the last"
            )
        log.info("round %d, %s, is scored", index, self.words)
