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

from pfedmma_dist.quantities.catalogue import of_rounds
from pfedmma_dist.quantities.costs import CLOCK
from pfedmma_dist.quantities.quantity import Source
from pfedmma_dist.reading import Unreadable, read_rows
from pfedmma_dist.run.files import write_text_atomically

NO_SCOPES = ("client", "domain", "train_images", "classes")
"""Columns of clients.csv before those of the scopes."""

log = logging.getLogger(__name__)

REMEDY = "restore it from a copy, or delete it"


SAMPLED = {"clients_scored": "sampled clients/scored"}
"""Column -> tag of how many clients the scores of a round are of, where that is a sample."""


def columns(
    scopes: Iterable[str],
    domains: Iterable[str] = (),
    *,
    sampled: bool = False,
    clocked: bool = False,
) -> dict[str, str]:
    """Return column -> TensorBoard tag of a run with these test sets and domains.

    sampled: scores are of some clients or images; their tags say so. clocked: a virtual clock runs;
    only then has it columns. Accuracies are percent (0 to
    100), bytes are per round, memory is the peak of rank 0 so far. A cell is empty where a round
    was not scored or no GPU was used.
    """
    found = of_rounds(scopes, domains)
    shown = [quantity for quantity in found if clocked or quantity not in CLOCK]
    tags = {quantity.column: quantity.tag for quantity in shown}
    if sampled:
        scores = [one for one in found if one.source is Source.CLIENTS and one.tag]
        tags |= {one.column: f"sampled {one.tag}" for one in scores} | SAMPLED
    return {"round": "", **tags}


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

    def append(self, row: Mapping[str, int | float | str | None]) -> None:
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
    """Return every column of metrics.csv as float64, nan where a cell is empty; {} without it.

    Unreadable where it is damaged. A last line that a crash cut off is none.
    """
    try:
        rows = read_rows(path, ["round"], REMEDY)
    except FileNotFoundError:
        return {}
    try:
        found = {
            name: np.array([float(row[name] or "nan") for row in rows]) for name in _names(path)
        }
    except ValueError as error:
        raise Unreadable(path, f"holds something else than numbers ({error})", REMEDY) from error
    if not (np.diff(found["round"], prepend=-1) >= 1).all():
        raise Unreadable(path, "does not hold its rounds in order, each once", REMEDY)
    return found


def csv_line(cells: Iterable[str]) -> str:
    """Return one line of a table, quoted where a name of the user's has a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def as_written(value: float) -> float:
    """Return a number as a reader of metrics.csv has it."""
    return float(_cell(value))


def _earlier(path: Path, start_round: int, saved: str | None) -> list[dict[str, str]]:
    """Return the rows of the rounds before `start_round`, as the checkpoint has them if it does."""
    if saved is None:
        return _complete(path, start_round)
    wanted = list(csv.DictReader(io.StringIO(saved, newline="")))
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


def _names(path: Path) -> list[str]:
    """Return the columns of a table, which may have no row yet."""
    with open(path, encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def _cell(value: int | float | str | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int | str) else f"{value:.8g}"
