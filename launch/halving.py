"""Successive halving (Jamieson and Talwalkar, AISTATS 2016): who goes on, after how many rounds.

Of n candidates all train a part of the rounds, the better 1 / eta of them eta times as many, until
the last have trained all. Candidates of one row of a sweep compete; what they are judged by is the
mean over seeds of Val, the accuracy on validation images.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from launch.plan import PlannedRun
from pfedmma_dist.quantities.scores import SCOPE_MEAN, VAL
from pfedmma_dist.run.metrics import read_metrics

SEED = "seed"
MOST = 3
"""Rungs: what trained a ninth of the rounds, for eta 3, says something of all of them; what trained
less, little."""

VAL_COLUMN = SCOPE_MEAN.named(VAL).column


@dataclass(frozen=True, eq=False)
class Candidate:
    """One point of the grid but for the seed, and its runs, one for each seed."""

    row: str
    point: tuple[tuple[str, Any], ...]
    runs: tuple[PlannedRun, ...]

    @property
    def words(self) -> str:
        """Return its point as a command line has it."""
        return " ".join(f"{key}={value}" for key, value in self.point)

    def val_after(self, rounds: int) -> float:
        """Return the mean over seeds of Val after so many rounds; nan where one is not known."""
        each = [val_after(run, rounds) for run in self.runs]
        return math.fsum(each) / len(each)


@dataclass(frozen=True)
class Rung:
    """How many of a row's candidates train until how many rounds."""

    count: int
    rounds: int


def candidates(runs: Iterable[PlannedRun]) -> dict[str, list[Candidate]]:
    """Return row -> its candidates, in the order of the grid."""
    found: dict[str, dict[str, list[PlannedRun]]] = {}
    for run in runs:
        point = {key: value for key, value in run.point.items() if key != SEED}
        found.setdefault(run.row, {}).setdefault(repr(point), []).append(run)
    return {
        row: [
            Candidate(row, tuple((k, v) for k, v in own[0].point.items() if k != SEED), tuple(own))
            for own in points.values()
        ]
        for row, points in found.items()
    }


def rungs(count: int, rounds: int, every: int, eta: int) -> list[Rung]:
    """Return the rungs of `count` candidates that would each train so many rounds.

    every: rounds between scores, of which a rung is a multiple, as it is judged by its last score.
    Rungs that would be as long as the next are left out.
    """
    number = min(MOST, math.floor(math.log(count, eta) + 1e-9) + 1)
    found: list[Rung] = []
    for place in range(number):
        part = rounds / eta ** (number - 1 - place)
        length = rounds if place == number - 1 else min(rounds, every * math.ceil(part / every))
        found.append(Rung(math.ceil(count / eta**place), length))
    lengths = [*(rung.rounds for rung in found[1:]), math.inf]
    first, *rest = (r for r, after in zip(found, lengths, strict=True) if r.rounds < after)
    return [Rung(count, first.rounds), *rest]


@dataclass
class Contest:
    """The candidates of one row, on their way up the rungs."""

    row: str
    found: list[Candidate]
    ladder: list[Rung]
    told: dict[Candidate, dict[int, float]] = field(default_factory=dict)
    """Candidate -> rounds of the rungs that it has reached -> Val."""

    def on(self, place: int) -> list[Candidate]:
        """Return who is on a rung: all on the first, and the best of the one below on others.

        Ties go to the earlier candidate, and one without a score is the worst.
        """
        if place == 0:
            return self.found
        below, values = self.on(place - 1), self.scores(place - 1)
        worst_last = {one: -math.inf if math.isnan(x) else x for one, x in values.items()}
        ranked = sorted(below, key=worst_last.__getitem__, reverse=True)  # keeps the order of ties
        return [one for one in below if one in ranked[: self.ladder[place].count]]

    def add(self, place: int) -> None:
        """Take down the scores of those on a rung."""
        rounds = self.ladder[place].rounds
        for one in self.on(place):
            self.told.setdefault(one, {})[rounds] = one.val_after(rounds)

    def scores(self, place: int) -> dict[Candidate, float]:
        """Return what those on a rung have reached there."""
        return {one: self.told[one][self.ladder[place].rounds] for one in self.on(place)}

    @property
    def last(self) -> int:
        """Rounds of the last rung: all of them."""
        return self.ladder[-1].rounds

    @property
    def best(self) -> Candidate:
        """Who won, once the last rung is told."""
        values = self.scores(len(self.ladder) - 1)
        return max((one for one in values if not math.isnan(values[one])), key=values.__getitem__)

    @property
    def spent(self) -> tuple[int, int]:
        """Rounds of all runs of the rungs, and of the whole grid."""
        seeds, spent, before = len(self.found[0].runs), 0, 0
        for rung in self.ladder:
            spent, before = spent + rung.count * (rung.rounds - before), rung.rounds
        return seeds * spent, seeds * len(self.found) * self.last

    @property
    def words(self) -> str:
        """What is going to be run, in one line."""
        steps = ", ".join(f"{rung.count} until round {rung.rounds}" for rung in self.ladder)
        spent, whole = self.spent
        return f"{steps}; {spent:,} of the grid's {whole:,} rounds ({spent / whole:.0%})"


def rounds_of(run: PlannedRun) -> int:
    """Return how many rounds of a run are done."""
    columns = read_metrics(run.folder.metrics) if run.folder.metrics.exists() else {}
    return len(columns.get("round", ()))


def val_after(run: PlannedRun, rounds: int) -> float:
    """Return Val of a run after so many rounds; nan where it is not known."""
    columns = read_metrics(run.folder.metrics) if run.folder.metrics.exists() else {}
    if VAL_COLUMN not in columns:
        return math.nan
    at = columns["round"] == rounds - 1
    return float(columns[VAL_COLUMN][at][-1]) if at.any() else math.nan
