"""The table metrics.csv: a row per round, appended as rounds finish, cut back at a resume."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from pfedmma_dist.run.files import write_text_atomically

COLUMNS = {
    "round": "",
    "loss": "train/loss",
    "samples_per_second": "throughput/samples_per_second",
    "train_seconds": "time/train_seconds",
    "evaluate_seconds": "time/evaluate_seconds",
    "local_mean_percent": "local/mean",
    "local_worst_decile_percent": "local/worst_decile",
    "local_std_percent": "local/std",
    "base_mean_percent": "base/mean",
    "novel_mean_percent": "novel/mean",
    "hm_percent": "hm/three_way",
    "hm_base_novel_percent": "hm/base_novel",
    "client_up_bytes": "traffic/client_up_bytes",
    "client_down_bytes": "traffic/client_down_bytes",
    "rank_bytes": "traffic/rank_bytes",
    "resident_mib": "memory/resident_mib",
    "gpu_mib": "memory/gpu_mib",
}
"""Column -> TensorBoard tag. Accuracies are percent (0 to 100), bytes are per round, memory is the
peak of rank 0 so far. A cell is empty where a round was not scored or no GPU was used."""


class MetricsFile:
    """An open metrics.csv."""

    def __init__(self, path: Path, start_round: int) -> None:
        """Open `path` for rounds from `start_round` on, dropping rows of an abandoned future."""
        kept = [row for row in _rows(path) if int(row["round"]) < start_round]
        lines = [_line(COLUMNS), *(_line(row[name] for name in COLUMNS) for row in kept)]
        write_text_atomically(path, "".join(lines))
        self._file: IO[str] = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115

    def append(self, row: Mapping[str, int | float | None]) -> None:
        """Add one round; visible to other programs when this returns."""
        self._file.write(_line(_cell(row.get(name)) for name in COLUMNS))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """Return every column of metrics.csv as float64, nan where a cell is empty."""
    rows = _rows(path)
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in COLUMNS}


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the complete rows; a last line cut off by a crash is none."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def _line(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\n"


def _cell(value: int | float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.8g}"
