"""The search of a row whose points are proposed one batch after another, and pruned on their way.

A trial goes on past a rung while it is in the better 1 / eta of all trials that came there so far
(asynchronous successive halving, Li et al., MLSys 2020): from its checkpoint, to the bits of a run
that never paused.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launch.halving import MOST, SEED, Candidate, Contest, rungs
from launch.plan import PlannedRun, Sweep, expanded
from launch.sampler import Space, Study, Trial, space_of


@dataclass(kw_only=True)
class Search:
    """The search of one row of a sweep."""

    file: str
    sweep: Sweep
    words: list[str]  # of the command line, but for those that name a key of the grid
    row: str
    space: Space
    seeds: list[Any]  # of every trial's runs; empty: the grid has none
    lengths: list[int]  # rounds of the rungs
    eta: int
    count: int  # of trials
    study: Study
    runs: dict[str, PlannedRun] = field(default_factory=dict)
    """Name -> run, of all trials that were proposed."""

    def __post_init__(self) -> None:
        """Count the runs of earlier trials as the sweep's."""
        for trial in self.study.trials:
            self.candidate(trial.point)

    @property
    def left(self) -> bool:
        """Whether there are trials to propose."""
        return len(self.study.trials) < self.count

    def propose(self) -> list[tuple[Candidate, Trial]]:
        """Return the next batch."""
        points = self.study.propose(self.count)
        return [(self.candidate(point), Trial(point, {})) for point in points]

    def candidate(self, point: dict[str, Any]) -> Candidate:
        """Return a point with its runs, one for each seed."""
        grid = {key: [value] for key, value in point.items()}
        if self.seeds:
            grid[SEED] = self.seeds
        rows = {self.row: self.sweep.rows[self.row]}
        runs = expanded(self.file, replace(self.sweep, rows=rows, grid=grid), self.words)
        self.runs |= {run.name: run for run in runs}
        return Candidate(self.row, tuple(point.items()), tuple(runs))

    def prune(self, rounds: int, batch: Sequence[Trial]) -> None:
        """End the trials of a batch that are not among the best of all that came to this rung."""
        everybody = [*self.study.trials, *batch]
        there = [one.told[rounds] for one in everybody if rounds in one.told and not one.failed]
        kept = max(1, len(there) // self.eta)
        for one in batch:
            if rounds in one.told and rounds != self.lengths[-1] and not one.failed:
                one.pruned = sum(value > one.told[rounds] for value in there) >= kept

    def best(self) -> Trial:
        """Return the first of the best trials; ValueError where none has a Val."""
        whole = [trial for trial in self.study.trials if not math.isnan(trial.value)]
        if not whole:
            raise ValueError(f"{self.row}: no trial has a Val; see the logs beside its runs")
        return max(whole, key=lambda trial: trial.value)

    def spent(self) -> tuple[int, int]:
        """Return rounds of all trials, and of as many that none had pruned."""
        per_trial = max(1, len(self.seeds))
        rounds = [max(trial.told, default=0) for trial in self.study.trials]
        return per_trial * sum(rounds), per_trial * len(rounds) * self.lengths[-1]


def words_of(contest: Contest, eta: int, count: int) -> str:
    """Say in one line what of a row is going to be searched."""
    ranges = "; ".join(f"{key} of {what}" for key, what in _space(contest).items())
    steps = ", ".join(map(str, _lengths(contest, eta)))
    return f"{count} trials of {ranges}; judged by Val after {steps} rounds"


def searches(
    file: str,
    sweep: Sweep,
    words: Iterable[str],
    contests: Sequence[Contest],
    *,
    eta: int,
    count: int,
    seed: int,
    folder: Path,
) -> list[Search]:
    """Open the search of every row; ValueError where the folder holds another one.

    contests: the rows' grids, which say what there is to choose. folder: of the sweep, locked.
    """
    if sweep.exclude:
        raise ValueError(
            f"{file}: exclude: leaves out points of a grid, and --sampler optuna chooses its own; "
            "leave one of the two out"
        )
    own = [word for word in words if word.partition("=")[0] not in sweep.grid]
    found = []
    for contest in contests:
        lengths, space = _lengths(contest, eta), _space(contest)
        runs = [run for one in contest.found for run in one.runs]
        told = {"runs": sorted(run.id for run in runs), "lengths": lengths, "eta": eta}
        search = json.dumps({**told, "seed": seed})
        found.append(
            Search(
                file=file, sweep=sweep, words=own, row=contest.row, space=space,
                seeds=list(dict.fromkeys(r.point[SEED] for r in runs if SEED in r.point)),
                lengths=lengths, eta=eta, count=count,
                study=Study(folder, contest.row, space, seed, search),
            )
        )  # fmt: skip
    return found


def _space(contest: Contest) -> Space:
    return space_of([dict(one.point) for one in contest.found])


def _lengths(contest: Contest, eta: int) -> list[int]:
    """Return the rungs' rounds, whatever the number of trials, which may grow."""
    config = contest.found[0].runs[0].config
    every = config.evaluate.every
    assert every  # or it would be no contest
    ladder = rungs(eta ** (MOST - 1), config.federation.rounds, every, eta)
    return [rung.rounds for rung in ladder]
