"""Lines: the runs that differ in their seed, or their data set, and in nothing else."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pfedmma_dist.config.identity import counted, meaning
from pfedmma_dist.config.merge import shown
from pfedmma_dist.quantities.fairness import SPREADS
from pfedmma_dist.quantities.quantity import Quantity
from pfedmma_dist.quantities.scores import OWN
from pfedmma_dist.results.cells import Cell, Column, Row, Table
from pfedmma_dist.results.outcome import Outcome

CLIENTS = "data.num_clients"
FRACTION = "federation.fraction"
BETA = "data.beta"
MODEL = "clip.model"

TOLD_OTHERWISE = ("seed", "data.name", "data.names", "data.root", "data.task")
"""Keys that never name a line: a mean is over seeds, and a data set has columns of its own."""


@dataclass(frozen=True)
class Line:
    """The runs of one line."""

    names: tuple[str, ...]  # the row's name, and what else tells it apart
    keys: tuple[str, ...]  # of which the further names are the values
    runs: tuple[Outcome, ...]

    @property
    def label(self) -> str:
        """Return the line's name where there is one column for all of it."""
        return ", ".join(filter(None, (self.names[0], self.setting)))

    @property
    def setting(self) -> str:
        """Return what tells the line apart but its row."""
        further = zip(_heads(self.keys), self.names[1:], strict=True)
        return ", ".join(f"{head.lower()} {name}" for head, name in further if name)

    @property
    def is_reference(self) -> bool:
        """Whether nothing was trained, nor counted."""
        return any(run.is_untrained for run in self.runs)

    @property
    def is_alone(self) -> bool:
        """Whether a single client has all data in all of its runs."""
        return all(map(is_alone, self.runs))

    def lacks(self, quantity: Quantity) -> bool:
        """Whether a quantity says something else of these runs than of others: of a single client
        with all data, whose own classes are all classes, and who spreads over nobody."""
        return self.is_alone and (OWN in quantity.of or quantity.make in SPREADS)

    def seeds(self, data: tuple[str, str] | None = None, **config: Any) -> dict[Any, Outcome]:
        """Return the run of each seed, of several the first that has finished.

        data, config: only of those on that data set, with those values of keys.
        """
        found: dict[Any, Outcome] = {}
        for run in self.runs:
            if data in (None, run.data) and all(run.config.get(k) == v for k, v in config.items()):
                other = found.setdefault(run.config.get("seed"), run)
                if other.result is None:
                    found[run.config.get("seed")] = run
        return found


def is_alone(run: Outcome) -> bool:
    """Whether a single client has all data; a reference knows it from its result."""
    return {**run.config, **(run.result or {}).get("configuration", {})}.get(CLIENTS) == 1


def lines(
    outcomes: Iterable[Outcome], besides: Iterable[str] = (), *, apart: bool = True
) -> list[Line]:
    """Return the lines that runs fall into: by row, then by what else tells them apart.

    besides: keys that have columns of their own. apart: see `telling`.
    """
    runs = list(outcomes)
    keys = [key for key in telling(runs, apart=apart) if key not in besides]
    found: dict[tuple[str, ...], list[Outcome]] = {}
    for run in runs:
        values = (shown(run.config[key]) if key in run.config else "" for key in keys)
        found.setdefault((run.name, *values), []).append(run)
    rows = list(dict.fromkeys(run.name for run in runs))
    ordered = sorted(
        found, key=lambda names: (rows.index(names[0]), *map(number_or_text, names[1:]))
    )
    return [Line(names, tuple(keys), tuple(found[names])) for names in ordered]


def telling(outcomes: Iterable[Outcome], *, apart: bool = True) -> list[str]:
    """Return the keys that tell apart runs of the same row.

    apart: of the same row on the same data set, which may have settings of its own.
    """
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for run in outcomes:
        groups.setdefault((run.name, *(run.data if apart else ())), []).append(run)
    found = {
        key: None
        for group in groups.values()
        for key in dict.fromkeys(key for run in group for key in run.config)
        if key not in TOLD_OTHERWISE and _differs(key, group)
        and any(meaning(key).decides(run.config) for run in group)
    }  # fmt: skip
    return list(found)


def _differs(key: str, group: Iterable[Outcome]) -> bool:
    """Whether runs differ in what a key counts as."""
    values = {repr(value): value for value in (run.config.get(key) for run in group)}
    return len(values) > 1 and len({shown(counted(key, one)) for one in values.values()}) > 1


def table(
    title: str,
    lines: Sequence[Line],
    columns: Sequence[Column],
    cells: Callable[[Line], Iterable[Cell]],  # of one line, below the columns
    **facts: Any,  # further fields of the table
) -> Table:
    """Return a table with a row for each line."""
    heads = ("Method", *_heads(lines[0].keys if lines else ()))
    rows = tuple(
        Row(line.names, tuple(cells(line)), is_reference=line.is_reference, is_alone=line.is_alone)
        for line in lines
    )
    return Table(title, heads, tuple(columns), rows, **facts)


def head(key: str) -> str:
    """Return what a person calls a key: as it says itself, or by the last part of its name."""
    return meaning(key).heading or key.rpartition(".")[2].replace("_", " ").capitalize()


def _heads(keys: Sequence[str]) -> list[str]:
    """Return what keys are called where they stand together: in full where two would be alike."""
    found = [head(key) for key in keys]
    return [key if found.count(name) > 1 else name for key, name in zip(keys, found, strict=True)]


def data_names(outcomes: Iterable[Outcome]) -> dict[tuple[str, str], str]:
    """Return what each data set is called: its name, and its folder where two share the name."""
    sets = list(dict.fromkeys(run.data for run in outcomes))
    names = [name for name, _ in sets]
    return {
        (name, root): name if names.count(name) == 1 else f"{name} {Path(root).name}"
        for name, root in sets
    }


def number_or_text(value: Any) -> tuple[float, str]:
    """Return what sorts values as people do: numbers by size, then words."""
    try:
        return float(value), ""
    except (TypeError, ValueError):
        return float("inf"), str(value)
