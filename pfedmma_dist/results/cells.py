"""A table before it is written: rows of cells, each a mean over seeds with its deviation."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from pfedmma_dist.quantities.quantity import Quantity
from pfedmma_dist.quantities.units import DECIMALS


@dataclass(frozen=True)
class Column:
    """What the cells below it mean."""

    key: str  # for programs: local_mean, up_bytes
    title: str
    unit: str = "percent"
    quantity: Quantity | None = None  # whose numbers stand there; None: other numbers
    is_ranked: bool = True  # the highest is the best

    @property
    def label(self) -> str:
        """Return the words beside an axis of figures."""
        return self.quantity.label if self.quantity else self.title


@dataclass(frozen=True)
class Cell:
    """A mean over the seeds that are there."""

    mean: float | None = None  # None: missing
    deviation: float | None = None  # of a sample; None where there are not two seeds
    num: int = 0  # seeds
    planned: int = 0

    @classmethod
    def of(cls, values: Sequence[float], planned: int) -> "Cell":
        """Return the mean and the sample standard deviation of a value per seed."""
        if not values:
            return cls(planned=planned)
        deviation = stdev(values) if len(values) > 1 else None
        return cls(fmean(values), deviation, len(values), planned)

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

    @property
    def seeds(self) -> str:
        """Return how many seeds the cells are over: `3`, `1 of 3`, `1-3 of 3`."""
        planned = max(cell.planned for cell in self.cells)
        counts = {cell.num for cell in self.cells if cell.planned > 0}
        low, high = min(counts), max(counts)
        if low == planned:
            return f"{planned}"
        return f"{low} of {planned}" if low == high else f"{low}-{high} of {planned}"


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

    @property
    def has_seeds(self) -> bool:
        """Whether its cells are means over seeds."""
        return any(cell.planned > 0 for row in self.rows for cell in row.cells)

    def best(self, column: int) -> list[bool]:
        """Return for each row whether its mean is the column's highest; ties all are.

        Nothing is best where nothing else is there to compare it with. A mean over fewer seeds than
        planned is not compared: it may have got the easy ones.
        """
        shown = [
            None if row.is_published or cell.is_partial or cell.mean is None
            else round(cell.mean, DECIMALS)
            for row in self.rows
            for cell in [row.cells[column]]
        ]  # fmt: skip
        found = [value for value in shown if value is not None]
        head = self.columns[column]
        ranked = self.is_ranked and head.is_ranked and head.unit == "percent"
        if not ranked or len(found) < 2:
            return [False] * len(shown)
        return [value is not None and value == max(found) for value in shown]
