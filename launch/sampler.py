"""Optuna proposes the points of a row's search. The only file that imports it, as a search begins.

What it was told lies in a data base in the folder of the sweep. A batch of proposals follows from
the batches before it and the seed alone, so a search that is stopped makes the same ones again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfedmma_dist.config.merge import shown

if TYPE_CHECKING:
    import optuna

DATABASE = "optuna.db"
BATCH = 4
"""Proposals at a time, whatever runs at a time: what they are must not depend on the machine."""
WIDE = 10
"""Times the least value of a range that its greatest is for it to be searched by its logarithm."""
POINT, SEARCH = "point", "search"
"""Attributes of a trial and of a study: what was trained, and what the study is of."""


@dataclass(frozen=True)
class Range:
    """Any number from one to another; log: alike on a scale of ratios."""

    low: float
    high: float
    log: bool

    def __str__(self) -> str:
        """Say it in words."""
        return f"{shown(self.low)} to {shown(self.high)}{', by ratios' if self.log else ''}"

    def rounded(self, value: float) -> float:
        """Return a value of three digits, as a folder is named after it and people read it."""
        return min(max(float(f"{value:.3g}"), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """One of the values that the grid lists."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        """Say it in words."""
        return " or ".join(map(shown, self.values))


Space = Mapping[str, Range | Choice]
"""Dotted key -> what may be proposed for it."""


def space_of(points: Sequence[Mapping[str, Any]]) -> Space:
    """Return what the points of a grid span: numbers with a point a range, all else its values."""
    space: dict[str, Range | Choice] = {}
    for key in points[0]:
        values = list(dict.fromkeys(point[key] for point in points))
        numbers = [x for x in values if isinstance(x, int | float) and not isinstance(x, bool)]
        if len(numbers) == len(values) > 1 and any(isinstance(x, float) for x in numbers):
            low, high = float(min(numbers)), float(max(numbers))
            space[key] = Range(low, high, low > 0 and high / low >= WIDE)
        else:
            space[key] = Choice(tuple(values))
    return space


def refuse_missing() -> None:
    """Raise ValueError where Optuna is not installed; imports nothing."""
    if find_spec("optuna") is None:
        raise ValueError(
            "--sampler: optuna cannot be imported here; pip install 'pfedmma_dist[tune]', or leave "
            "--sampler out"
        )


@dataclass
class Trial:
    """A proposed point, and what it has reached."""

    point: dict[str, Any]
    told: dict[int, float]  # rounds -> Val
    pruned: bool = False

    @property
    def failed(self) -> bool:
        """Whether no Val is known where one was asked for."""
        return any(map(math.isnan, self.told.values()))

    @property
    def value(self) -> float:
        """Return Val after all rounds; nan where it was not trained so long."""
        return math.nan if self.pruned or not self.told else self.told[max(self.told)]


class Study:
    """The search of one row: its trials so far, and the next."""

    def __init__(self, folder: Path, row: str, space: Space, seed: int, search: str) -> None:
        """Open it, or begin it. search: what is searched and how; that of another is refused."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self.space, self.seed = optuna, space, seed
        self._stored = optuna.create_study(
            storage=f"sqlite:///{folder / DATABASE}",
            study_name=row,
            direction="maximize",
            load_if_exists=True,
        )
        before = self._stored.user_attrs.get(SEARCH)
        if before is None:
            self._stored.set_user_attr(SEARCH, search)
        elif before != search:
            raise ValueError(
                f"run.folder: {folder / DATABASE} holds a search of {row!r} with other ranges, "
                "settings, rungs or --sampler-seed; set run.folder to a new folder, or give the "
                "same again"
            )
        self.trials = [_read(trial) for trial in self._stored.trials]

    def propose(self, count: int) -> list[dict[str, Any]]:
        """Return the next points to train, BATCH of them or what is left of `count`."""
        number = min(BATCH, count - len(self.trials))
        self._asked = self._optuna.create_study(
            direction="maximize",
            sampler=self._optuna.samplers.TPESampler(
                seed=self.seed + len(self.trials), constant_liar=True
            ),
        )
        self._asked.add_trials(self._stored.trials)
        own = {key: self._distribution(what) for key, what in self.space.items()}
        self._open = [self._asked.ask(own) for _ in range(number)]
        return [
            {
                key: what.rounded(trial.params[key]) if isinstance(what, Range) else
                what.values[trial.params[key]]
                for key, what in self.space.items()
            }
            for trial in self._open
        ]  # fmt: skip

    def tell(self, trials: Sequence[Trial]) -> None:
        """Write down what the points of the last proposal have reached, all of them at once."""
        state = self._optuna.trial.TrialState
        for own, trial in zip(self._open, trials, strict=True):
            known = {step: x for step, x in trial.told.items() if not math.isnan(x)}
            done = state.FAIL if trial.failed else state.PRUNED if trial.pruned else state.COMPLETE
            self._stored.add_trial(
                self._optuna.trial.create_trial(
                    state=done,
                    value=trial.value if done is state.COMPLETE else None,
                    params=own.params,
                    distributions=own.distributions,
                    intermediate_values=known,
                    user_attrs={POINT: trial.point},
                )
            )
        self.trials += trials

    def _distribution(self, what: Range | Choice) -> optuna.distributions.BaseDistribution:
        kinds = self._optuna.distributions
        if isinstance(what, Range):
            return kinds.FloatDistribution(what.low, what.high, log=what.log)
        return kinds.CategoricalDistribution(range(len(what.values)))  # lists are values, too


def _read(trial: optuna.trial.FrozenTrial) -> Trial:
    """Return a trial of an earlier start."""
    told = dict(trial.intermediate_values) or {0: math.nan}
    if trial.state.name == "FAIL":
        told[max(told) + 1] = math.nan
    return Trial(trial.user_attrs[POINT], told, pruned=trial.state.name == "PRUNED")
