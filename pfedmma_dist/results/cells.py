"""A table before it is written: rows of cells, each a mean over seeds with its deviation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from pfedmma_dist.quantities.quantity import Quantity
from pfedmma_dist.quantities.units import DECIMALS
from pfedmma_dist.results.noise import is_above

SAMPLED = "Scored on a sample"
"""Beginning of the remarks that say whose scores are of some clients or images."""


@dataclass(frozen=True)
class Column:
    """What the cells below it mean."""

    key: str  # for programs: local_mean, up_bytes
    title: str
    unit: str = "percent"
    quantity: Quantity | None = None  # whose numbers stand there; None: other numbers
    is_ranked: bool = True  # the highest is the best

    @property
    def measured(self) -> Quantity:
        """Return the quantity whose numbers stand there, in a column that has one."""
        assert self.quantity is not None, self.key
        return self.quantity

    @property
    def label(self) -> str:
        """Return the words beside an axis of figures."""
        return self.quantity.label if self.quantity else self.title


@dataclass(frozen=True)
class Cell:
    """A mean over the seeds that are there, or a number that all runs agree on."""

    mean: float | None = None  # None: missing
    deviation: float | None = None  # of a sample; None where there are not two seeds
    num: int = 0  # seeds, or runs that agree
    planned: int = 0  # seeds; 0: it is no mean over seeds
    values: Mapping[Any, float] = field(default_factory=dict, compare=False, repr=False)
    """Seed -> value, by which cells of a column pair; {} where they do not."""

    @classmethod
    def of(cls, values: Mapping[Any, float], planned: int) -> "Cell":
        """Return the mean and the sample standard deviation of a value per seed."""
        if not values:
            return cls(planned=planned)
        found = list(values.values())
        deviation = stdev(found) if len(found) > 1 else None
        return cls(fmean(found), deviation, len(found), planned, dict(values))

    @property
    def is_partial(self) -> bool:
        """Whether the mean is over fewer seeds than were planned."""
        return 0 < self.num < self.planned


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    names: tuple[str, ...]  # below the table's heads
    cells: tuple[Cell, ...]  # below its columns
    is_published: bool = False  # the paper's own figures, which do not compete
    is_reference: bool = False  # nothing was trained
    is_alone: bool = False  # a single client has all data: no federation, and compared with none

    @property
    def seeds(self) -> str:
        """Return how many runs the cells are of: `3`, `1 of 3`, `1-3 of 3`; empty if published."""
        if self.is_published:
            return ""
        planned = max(cell.planned for cell in self.cells)
        counts = {cell.num for cell in self.cells if cell.planned > 0 or not planned}
        low, high = min(counts), max(counts)
        found = f"{low}" if low == high else f"{low}-{high}"
        return found if not planned or low == planned else f"{found} of {planned}"


@dataclass(frozen=True)
class Table:
    """One table."""

    title: str
    heads: tuple[str, ...]  # of what names a row: Method, and what else tells rows apart
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    task: str = ""
    data: str = ""
    is_ranked: bool = True  # whether the best of each column is worth pointing out
    remarks: tuple[str, ...] = ()  # what its reader has to know besides

    @property
    def has_seeds(self) -> bool:
        """Whether its cells are means over seeds."""
        return any(cell.planned > 0 for row in self.rows for cell in row.cells)

    def compared(self, column: int) -> dict[int, float]:
        """Return row -> mean as it is shown, of the rows that compete for the best of a column.

        A mean over fewer seeds than planned does not: it may have got the easy ones. Nor does a
        single client with all data beside federations; where all are such, they do.
        """
        head = self.columns[column]
        if not (self.is_ranked and head.is_ranked and head.unit == "percent"):
            return {}
        measured = [row for row in self.rows if not row.is_published]
        are_alone = all(row.is_alone for row in measured)
        return {
            place: round(cell.mean, DECIMALS)
            for place, row in enumerate(self.rows)
            for cell in [row.cells[column]]
            if row in measured and row.is_alone == are_alone
            if not (cell.is_partial or cell.mean is None)
        }

    def best(self, column: int) -> list[bool]:
        """Return for each row whether its mean is the column's highest, beyond noise.

        That is decided by the seeds that it shares with the next best, or with each of those that
        look alike. Nothing is best where nothing else is there, where two look alike, or where they
        do not share two seeds.
        """
        found = self.compared(column)
        first = max(found, key=found.__getitem__, default=-1)
        next_mean = max((mean for row, mean in found.items() if row != first), default=None)
        nexts = [row for row, mean in found.items() if row != first and mean == next_mean]
        values = [row.cells[column].values for row in self.rows]
        is_alone = bool(nexts) and found[first] != next_mean
        is_best = is_alone and all(is_above(values[first], values[row]) for row in nexts)
        return [is_best and place == first for place in range(len(self.rows))]
