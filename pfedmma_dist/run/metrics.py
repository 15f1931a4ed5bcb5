"""The table metrics.csv: a row per round, appended as rounds finish, cut back at a resume."""

import contextlib
import csv
import io
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from pfedmma_dist.reading import read_rows
from pfedmma_dist.run.files import write_text_atomically
from pfedmma_dist.run.summary import DOMAIN, HARMONIC, OWN

log = logging.getLogger(__name__)

REMEDY = "restore it from a copy, or delete it"

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

    def __init__(
        self, path: Path, start_round: int, names: Iterable[str], saved: str | None = None
    ) -> None:
        """Open `path` for rounds from `start_round` on, dropping rows of an abandoned future.

        names: of the columns. saved: the table as the checkpoint has it, which wins over a file
        that says otherwise; None where no checkpoint has one.
        """
        self.names, self.path = list(names), path
        kept = _earlier(path, start_round, saved)
        lines = [
            csv_line(self.names), *(csv_line(row.get(n, "") for n in self.names) for row in kept)
        ]  # fmt: skip
        write_text_atomically(path, "".join(lines))
        self._file: IO[str] = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115

    def append(self, row: Mapping[str, int | float | None]) -> None:
        """Add one round; visible to other programs when this returns."""
        self._file.write(csv_line(_cell(row.get(name)) for name in self.names))
        self._file.flush()

    def text(self) -> str:
        """Return the table so far, once it is on the disk: a checkpoint counts on its rows."""
        os.fsync(self._file.fileno())
        return self.path.read_text(encoding="utf-8")

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


def _earlier(path: Path, start_round: int, saved: str | None) -> list[dict[str, str]]:
    """Return the rows of the rounds before `start_round`, as the checkpoint has them if it does."""
    if saved is None:
        return _complete(path, start_round)
    wanted = list(csv.DictReader(saved.splitlines(keepends=True)))
    try:
        rows = read_rows(path, ["round"], REMEDY)
        agrees = [row for row in rows if int(row["round"]) < start_round] == wanted
    except (FileNotFoundError, ValueError):
        agrees = False
    if not agrees:
        aside = path.with_name(f".{path.name}.replaced")
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, aside)
        words = (
            "%s does not hold the rows of the checkpoint; restored from it, what was there is %s"
        )
        log.warning(words, path, aside)
    return wanted


def _complete(path: Path, start_round: int) -> list[dict[str, str]]:
    """Return the rows before `start_round` where no checkpoint has them; tell of any gap."""
    rows = read_rows(path, ["round"], REMEDY) if path.exists() else []
    found = [row for row in rows if row["round"].isdecimal() and int(row["round"]) < start_round]
    if [int(row["round"]) for row in found] != list(range(start_round)):
        log.warning("%s does not hold each of the %d rounds before once", path, start_round)
    return found


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
