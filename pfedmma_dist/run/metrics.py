"""The table metrics.csv: a row per round, appended as rounds finish, cut back at a resume."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from pfedmma_dist.run.files import write_text_atomically
from pfedmma_dist.run.summary import DOMAIN, HARMONIC, OWN

TIMES = {
    "round": "",
    "loss": "train/loss",
    "samples_per_second": "cost/samples_per_second",
    "train_seconds": "cost/train_seconds",
    "evaluate_seconds": "cost/evaluate_seconds",
}
COSTS = {
    "client_up_bytes": "cost/client_up_bytes",
    "client_down_bytes": "cost/client_down_bytes",
    "rank_bytes": "cost/rank_bytes",
    "resident_mib": "cost/resident_mib",
    "gpu_mib": "cost/gpu_mib",
}
HARMONIC_TAGS = {f"{name}_percent": f"accuracy/{name}" for name in HARMONIC}


def columns(scopes: Iterable[str], domains: Iterable[str] = ()) -> dict[str, str]:
    """Return column -> TensorBoard tag of a run with these test sets and domains.

    Accuracies are percent (0 to 100), bytes are per round, memory is the peak of rank 0 so far. A
    cell is empty where a round was not scored or no GPU was used.
    """
    return {**TIMES, **accuracies(scopes, domains), **COSTS}


def accuracies(scopes: Iterable[str], domains: Iterable[str] = ()) -> dict[str, str]:
    """Return those of the columns that hold accuracies."""
    found = {}
    for scope in scopes:
        spread = ("mean", "worst_decile", "std") if scope == OWN else ("mean",)
        found |= {f"{scope}_{kind}_percent": _tag(scope, kind) for kind in spread}
    found |= {f"{DOMAIN}{name}_mean_percent": f"domain/{name}" for name in domains}
    if {f"{scope}_mean_percent" for scope in HARMONIC["hm"]} <= found.keys():
        found |= HARMONIC_TAGS
    return found


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


def _tag(scope: str, kind: str) -> str:
    """Return the tag of a score; those of one kind stand together in TensorBoard."""
    return f"accuracy/{scope}" if kind == "mean" else f"accuracy/{scope}_{kind}"


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
