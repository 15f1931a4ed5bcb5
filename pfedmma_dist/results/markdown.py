"""Write tables as markdown, for people."""

from collections.abc import Callable, Iterable, Sequence

from pfedmma_dist.quantities.scores import HM
from pfedmma_dist.quantities.units import UNITS
from pfedmma_dist.results.cells import Cell, Column, Table
from pfedmma_dist.run.labels import printable
from pfedmma_dist.run.table import MISSING

PARTIAL = "†"
"""Behind a mean over fewer seeds than planned."""

ACCURACIES = "Accuracies in percent: mean ± sample standard deviation over n seeds"
HARMONIC = "HM is taken in every run, then averaged"
OF_MEANS = "HM of means is that of the averages beside it"
COUNTED = "n beside costs: the runs that agree on them"
BOLD = (
    "In bold: the best of a column, where the 95 % interval (Student's t) of its difference from "
    "the next best, seed by seed, is above zero; it takes two seeds that both have"
)
FEWER = f"{PARTIAL} over fewer seeds than planned, and never in bold"
PAPER = "(paper): published figures, not measured here and never in bold"


def markdown(tables: Iterable[Table]) -> str:
    """Return the tables under their titles, and below them what they mean."""
    found = list(tables)
    return "\n".join([*map(_table, found), *notes(found)]) + "\n"


def notes(tables: Iterable[Table]) -> list[str]:
    """Return what a reader of these tables has to know, a line each."""
    tables = list(tables)
    columns = {column.key for table in tables for column in table.columns}
    rows = [row for table in tables for row in table.rows]
    told = {
        ACCURACIES: any(table.has_seeds for table in tables),
        COUNTED: any(cell.num and not cell.planned for row in rows for cell in row.cells),
        BOLD: any(len(t.compared(i)) > 1 for t in tables for i in range(len(t.columns))),
        HARMONIC: HM.key in columns,
        OF_MEANS: "hm_of_means" in columns,
        FEWER: any(cell.is_partial for row in rows for cell in row.cells),
        PAPER: any(row.is_published for row in rows),
    }
    remarks = dict.fromkeys(remark for table in tables for remark in table.remarks)
    return [f"{note}." for note in (*(n for n, is_needed in told.items() if is_needed), *remarks)]


def text(cell: Cell, column: Column) -> str:
    """Return what stands in a cell."""
    if cell.mean is None:
        return MISSING
    show = UNITS[column.unit]
    spread = "" if cell.deviation is None else f" ± {show(cell.deviation)}"
    return f"{show(cell.mean)}{spread}{PARTIAL if cell.is_partial else ''}"


def grid(title: str, lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells, the first of them the heads, under a title; numbers to the right."""
    lined = [[printable(cell).replace("|", r"\|") for cell in line] for line in lines]
    widths = [max(3, *map(len, column)) for column in zip(*lined, strict=True)]
    lined.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    padded = ([c[0].ljust(widths[0]), *map(str.rjust, c[1:], widths[1:])] for c in lined)
    return f"### {printable(title)}\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in padded)


def lines_of(
    table: Table, escaped: Callable[[str], str], strong: str
) -> tuple[list[str], list[list[str]]]:
    """Return the heads of a table, and its lines in a format's own words.

    strong: what the best of a column becomes, such as `**{}**`.
    """
    best = [table.best(index) for index in range(len(table.columns))]
    lines = []
    for place, row in enumerate(table.rows):
        cells = [escaped(text(*pair)) for pair in zip(row.cells, table.columns, strict=True)]
        cells = [strong.format(c) if best[i][place] else c for i, c in enumerate(cells)]
        lines.append([*map(escaped, row.names), *cells, escaped(row.seeds)])
    return [*table.heads, *(column.title for column in table.columns), "n"], lines


def _table(table: Table) -> str:
    heads, lines = lines_of(table, str, "**{}**")
    return grid(table.title, [heads, *lines])
