"""Trained on: rows of a matrix whose columns are what is scored on, sources and targets alike."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pfedmma_dist.results.cells import Cell, Column, Row, Table
from pfedmma_dist.results.tables import SAME_SCORE

Values = dict[Any, dict[str, float]]
"""Seed -> column -> percent."""

TRAINED_ON = "Trained on"
NOTHING = "nothing"
UNTRAINED = "zero-shot CLIP"
SOURCE = Column("source_mean", "Source")
TARGETS = Column("target_mean", "Targets")
GAIN = Column("target_gain", "Gain", is_ranked=False)

PROTOCOL = (
    "Every client is scored on all test images of a column, among all classes of that set; a row "
    "is the mean over the clients that trained on it"
)
DIAGONAL = (
    "Source: mean over the columns that a row has trained on; Targets: over those it has not; "
    "Gain: points of Targets over zero-shot CLIP on the same columns"
)
OTHERWISE = (
    f"{UNTRAINED} is not the same beside all runs of a seed (other prompts, weights or precision); "
    "the first is shown"
)


@dataclass(frozen=True)
class Trained:
    """The numbers of one row."""

    names: tuple[str, ...]
    sources: frozenset[str]  # columns that it has trained on
    values: Values
    planned: int  # seeds
    is_reference: bool = False

    def row(self, columns: Sequence[str], untouched: Values) -> Row:
        """Return its cells below these columns, and its means.

        untouched: zero-shot CLIP, which Gain is measured from.
        """
        cells = (*self.each(columns), *self.means(columns, untouched))
        return Row(self.names, cells, is_reference=self.is_reference)

    def each(self, columns: Sequence[str]) -> list[Cell]:
        """Return the cell of each column."""
        return [cell_over(self.values, [name], self.planned) for name in columns]

    def means(self, columns: Sequence[str], untouched: Values) -> tuple[Cell, ...]:
        """Return the cells of Source, Targets and Gain."""
        sources = [name for name in columns if name in self.sources]
        targets = [name for name in columns if name not in self.sources]
        gains = {
            seed: {
                name: found[name] - untouched[seed][name]
                for name in targets
                if name in found and name in untouched.get(seed, {})
            }
            for seed, found in self.values.items()
        }
        planned = self.planned
        return (
            cell_over(self.values, sources, planned),
            cell_over(self.values, targets, planned),
            Cell() if self.is_reference else cell_over(gains, targets, planned),
        )


@dataclass(frozen=True)
class MeanOfRows(Trained):
    """The means of rows over their own sources, and over their own targets."""

    rows: tuple[Trained, ...] = ()

    def each(self, columns: Sequence[str]) -> list[Cell]:
        """Return empty cells: a column is another row's source."""
        return [Cell()] * len(columns)

    def means(self, columns: Sequence[str], untouched: Values) -> tuple[Cell, ...]:
        """Return the means of the rows' cells, of the seeds that all of them have."""
        found = zip(*(row.means(columns, untouched) for row in self.rows), strict=True)
        return tuple(self._mean(cells) for cells in found)

    def _mean(self, cells: Sequence[Cell]) -> Cell:
        seeds = [seed for seed in cells[0].values if all(seed in cell.values for cell in cells)]
        means = {seed: fmean(cell.values[seed] for cell in cells) for seed in seeds}
        return Cell.of(means, self.planned)


def cell_over(values: Values, columns: Collection[str], planned: int) -> Cell:
    """Return the cell of each seed's mean over columns, where it has all of them."""
    if not columns:
        return Cell()
    whole = {
        seed: fmean(found[name] for name in columns)
        for seed, found in values.items()
        if all(name in found for name in columns)
    }
    return Cell.of(whole, planned)


class Untouched:
    """Zero-shot scores beside the runs, which should be the same beside all of a seed."""

    def __init__(self) -> None:
        self.values: Values = {}
        self.told: list[str] = []

    def add(self, seed: Any, scores: Mapping[str, float]) -> None:
        """Take what stands beside one run; where another says otherwise, the first counts."""
        own = self.values.setdefault(seed, {})
        for name, value in scores.items():
            if abs(own.setdefault(name, value) - value) >= SAME_SCORE:
                self.told = [OTHERWISE]


def across(
    title: str,
    rows: Sequence[Trained],
    untouched: Untouched,
    columns: Sequence[str],
    missing: Sequence[str],
    data: str = "",
) -> Table:
    """Return the table of rows below columns, zero-shot CLIP first.

    missing: further remarks. data: the set, where it is one.
    """
    values = untouched.values
    reference = Trained((UNTRAINED, NOTHING), frozenset(), values, len(values), True)
    heads = (*(Column(name, name) for name in columns), SOURCE, TARGETS, GAIN)
    found = tuple(one.row(columns, values) for one in (reference, *rows))
    remarks = (PROTOCOL, DIAGONAL, *untouched.told, *missing)
    return Table(
        title, ("Method", TRAINED_ON), heads, found, data=data, remarks=remarks, is_ranked=False
    )
