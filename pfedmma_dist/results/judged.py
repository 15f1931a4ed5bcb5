"""Judged: one of our figures beside a published one, and what is said of it."""

from dataclasses import dataclass
from enum import Enum

from pfedmma_dist.results.cells import Cell, Column
from pfedmma_dist.results.expected import Figure
from pfedmma_dist.results.noise import interval


class Verdict(Enum):
    """What is said of one of our figures."""

    inside = "inside"
    outside = "OUTSIDE"
    open = "open"  # outside, and its interval over seeds reaches into the band
    none = "no verdict"


@dataclass(frozen=True)
class Judged:
    """A published figure beside ours of one row."""

    figure: Figure
    row: str  # of our sweep
    column: Column
    ours: Cell
    verdict: Verdict
    why: str = ""  # there is no verdict
    explained: str = ""  # what may explain that it is outside
    compares: bool = True  # whether the two may stand beside each other at all

    @property
    def difference(self) -> float | None:
        """Return ours less theirs."""
        if self.ours.mean is None or not self.compares:
            return None
        return self.ours.mean - self.figure.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of ours over seeds, by Student's t; None of fewer than two."""
        return interval(list(self.ours.values.values()))


@dataclass(frozen=True)
class Gap:
    """How far one method is above another, in the paper and here, seed by seed."""

    one: Judged
    other: Judged

    @property
    def published(self) -> float:
        """Return the gap of the paper's figures."""
        return self.one.figure.value - self.other.figure.value

    @property
    def differences(self) -> list[float]:
        """Return our gaps, of the seeds that both rows have."""
        ours, others = self.one.ours.values, self.other.ours.values
        return [ours[seed] - others[seed] for seed in ours if seed in others]
