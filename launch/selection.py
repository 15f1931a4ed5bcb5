"""Selection: which runs of a sweep a reproduction consists of, and in what they depart from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launch.books import PLAN, read_plan
from launch.plan import PlannedRun, Sweep, expanded, read_sweep
from pfedmma_dist.config.identity import defaults, differences, flat
from pfedmma_dist.config.merge import shown
from pfedmma_dist.outline import outlines
from pfedmma_dist.results.expected import Expectations
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.spelling import hint, quoted

OWN = ("data.name", "seed")
"""Keys that words of the command have options for."""

FOLDER = "run.folder="


@dataclass(frozen=True)
class Selection:
    """What is asked for of one of the two sweeps of an experiment."""

    expected: Expectations
    as_published: bool
    sets: tuple[str, ...] = ()  # all where none is named
    seeds: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # key=value, of the user

    @property
    def file(self) -> str:
        """Return the sweep file."""
        return self.expected.sweeps[self.as_published]

    @property
    def folder(self) -> str:
        """Return the folder of the runs: the one asked for, or one named after the experiment."""
        asked = [word.removeprefix(FOLDER) for word in self.words if word.startswith(FOLDER)]
        end = "_released" if self.as_published else ""
        return asked[-1] if asked else f"runs/reproduce_{self.expected.experiment}{end}"

    def runs(self) -> tuple[list[PlannedRun], list[PlannedRun]]:
        """Return the runs that are asked for, and with them those that are planned there already.

        ValueError where those were planned with other words.
        """
        sweep, sets = read_sweep(self.file), self._sets()
        rows, before = self._rows(sweep), _planned(Path(self.folder).expanduser())
        seeds = [int(seed) for seed in self.seeds or sweep.grid["seed"]]
        whole = replace(
            sweep,
            rows={name: sweep.rows[name] for name in sweep.rows if name in {*rows, *before.rows}},
            grid={**sweep.grid, "seed": list(dict.fromkeys([*seeds, *before.seeds]))},
        )
        every = expanded(self.file, whole, self._words())
        asked = [
            run for run in every
            if run.row in rows and run.config.data.name in sets and run.config.seed in seeds
        ]  # fmt: skip
        names = {run.name for run in asked}
        known = {run.name: run for run in every}
        for name, own in before.ids.items():
            if name not in known or own not in known[name].ids:
                raise ValueError(
                    f"{self.folder} holds a plan of {name} with other settings; give the key=value "
                    "words that it was begun with, or another run.folder"
                )
        return asked, [run for run in every if run.name in {*names, *before.ids}]

    def departures(self, outcomes: Iterable[Outcome]) -> dict[str, str]:
        """Return, by row, in what finished runs depart from the sweep's own settings, in words."""
        runs = [run for run in outcomes if run.result is not None]
        sweep, found = read_sweep(self.file), dict[str, str]()
        rows = {run.name: run for run in runs if run.name in sweep.rows}
        if not rows:
            return {}
        first = {key: values[:1] for key, values in sweep.grid.items()}
        plain = replace(sweep, rows={name: sweep.rows[name] for name in rows}, grid=first)
        words = [*self.expected.words[self.as_published], f"{FOLDER}{self.folder}"]
        for planned in expanded(self.file, plain, words):
            name, rule = planned.config.method["name"], planned.config.server.rule
            usual = defaults(name, outlines(), rule)
            for run in runs:
                if run.name != planned.row:
                    continue
                told = [
                    f"{key} {shown(was)} in place of {shown(now)}"
                    for key, was, now in differences(run.config, flat(planned.config), usual)
                    if key not in sweep.grid and key not in OWN
                ]
                if told:
                    found[run.name] = ", ".join(told)
        return found

    def _words(self) -> list[str]:
        for word in self.words:
            key = word.partition("=")[0]
            if key in OWN:
                option = {"data.name": "--sets", "seed": "--seeds"}[key]
                raise ValueError(f"{quoted(word)}: sets and seeds are chosen by {option} here")
        own = [word for word in self.words if not word.startswith(FOLDER)]
        return [*self.expected.words[self.as_published], *own, f"{FOLDER}{self.folder}"]

    def _sets(self) -> set[str]:
        known = self.expected.sets
        for name in self.sets:
            if name not in known:
                raise ValueError(
                    f"--sets: {quoted(name)} is none of {', '.join(known)}{hint(name, known)}"
                )
        return {*(self.sets or known)}

    def _rows(self, sweep: Sweep) -> list[str]:
        """Return rows of the sweep: of the methods that are named, or of all of the paper's."""
        of = {name: self.expected.rows(name, as_published=self.as_published)
              for name in self.expected.methods}  # fmt: skip
        if not self.methods:
            beside = [name for name in self.expected.beside if name in sweep.rows]
            return [*(row for rows in of.values() for row in rows), *beside]
        found: list[str] = []
        for name in self.methods:
            if name not in of and name not in sweep.rows:
                known = [*of, *sweep.rows]
                raise ValueError(
                    f"--methods: {quoted(name)} is no method of the paper and no row of "
                    f"{self.file}{hint(name, known)}; the paper's are {', '.join(of)}"
                )
            rows = of.get(name, (name,))
            if not rows:
                raise ValueError(f"--methods: {name} has no row in {self.file}")
            found += rows
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Before:
    """What a folder has planned already."""

    ids: Mapping[str, str]  # name of a run -> its id
    rows: Sequence[str]
    seeds: Sequence[int]


def _planned(folder: Path) -> _Before:
    lines = read_plan(folder) if (folder / PLAN).is_file() else []
    return _Before(
        {line["folder"]: line["id"] for line in lines},
        [line["row"] for line in lines],
        [int(line["seed"]) for line in lines],
    )
