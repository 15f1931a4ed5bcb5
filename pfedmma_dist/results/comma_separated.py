"""Write tables as CSV, for programs: a line per cell, numbers as they were measured."""

import csv
import io
from collections.abc import Iterable

from pfedmma_dist.results.cells import SAMPLED, Table

CELL = ("column", "unit", "mean", "deviation", "n", "planned", "best", "published")


def comma_separated(tables: Iterable[Table]) -> str:
    """Return a line for each cell of each table: where it stands, and what is in it.

    Every head of a table is a column, empty where another table has no such head. An empty mean is
    a missing cell, an empty deviation that of a single seed. Where scores are of some clients or
    images, a last column says so.
    """
    found = list(tables)
    samples = [
        "; ".join(remark for remark in table.remarks if remark.startswith(SAMPLED))
        for table in found
    ]
    last = ["sample"] if any(samples) else []
    heads = list(dict.fromkeys(head for table in found for head in table.heads))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["task", "data", *map(str.lower, heads), *CELL, *last])
    for table, sample in zip(found, samples, strict=True):
        best = [table.best(index) for index in range(len(table.columns))]
        for place, row in enumerate(table.rows):
            names = dict(zip(table.heads, row.names, strict=True))
            where = [table.task, table.data, *(names.get(head, "") for head in heads)]
            for index, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
                what = [column.key, column.unit, cell.mean, cell.deviation, cell.num, cell.planned]
                marks = [int(best[index][place]), int(row.is_published)]
                writer.writerow([*where, *what, *marks, *([sample] if last else [])])
    return written.getvalue()
