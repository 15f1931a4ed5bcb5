"""The table metrics.csv: a row per round, appended as rounds finish, cut back at a resume."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from pfedmma_dist.quantities.catalogue import of_rounds
from pfedmma_dist.run.files import write_text_atomically


def columns(scopes: Iterable[str], domains: Iterable[str] = ()) -> dict[str, str]:
    """Return column -> TensorBoard tag of a run with these test sets and domains.

    Accuracies are percent (0 to 100), bytes are per round, memory is the peak of rank 0 so far. A
    cell is empty where a round was not scored or no GPU was used.
    """
    found = of_rounds(scopes, domains)
    return {"round": "", **{quantity.column: quantity.tag for quantity in found}}


class MetricsFile:
    """An open metrics.csv."""

    def __init__(self, path: Path, start_round: int, names: Iterable[str]) -> None:
        """Open `path` for rounds from `start_round` on, dropping rows of an abandoned future.

        names: of the columns.
        """
        self.names = list(names)
        kept = [row for row in _read(path)[1] if int(row["round"]) < start_round]
        lines = [csv_line(self.names), *(csv_line(row[n] for n in self.names) for row in kept)]
        write_text_atomically(path, "".join(lines))
        self._file: IO[str] = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115

    def append(self, row: Mapping[str, int | float | None]) -> None:
        """Add one round; visible to other programs when this returns."""
        self._file.write(csv_line(_cell(row.get(name)) for name in self.names))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """Return every column of metrics.csv as float64, nan where a cell is empty."""
    names, rows = _read(path)
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def csv_line(cells: Iterable[str]) -> str:
    """Return one line of a table, quoted where a name of the user's has a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and the complete rows; a last line cut off by a crash is none."""
    if not path.exists():
        return [], []
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if None not in row.values()]
        return list(reader.fieldnames or ()), rows


def _cell(value: int | float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.8g}"
