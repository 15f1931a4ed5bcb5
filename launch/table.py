"""The table of a sweep: `python -m launch.table FOLDER [--format markdown|csv]`.

A line per named row, and per combination of grid keys other than the seed: mean and sample
standard deviation over the finished seeds. Harmonic means are taken in every run, then averaged.
"""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from launch.plan import PLAN
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.summary import DOMAIN, heading
from pfedmma_dist.run.table import MISSING, size

MEAN = "_mean"
HARMONIC = "hm"
NOTE = (
    "Accuracies in percent: mean ± sample standard deviation over n seeds; HM is taken per seed.\n"
    "Trained counts numbers; up and down are per client and round."
)


@dataclass
class Line:
    """One line of the table."""

    name: str
    planned: int = 0  # runs
    results: list[dict[str, Any]] = field(default_factory=list)  # of the finished ones

    def scores(self, key: str) -> list[float]:
        """Return one score of every run that has it, percent."""
        return [row["scores"][key] for row in self.results if key in row["scores"]]


def main(argv: list[str] | None = None) -> int:
    """Print the table of a folder and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.table", description=__doc__)
    parser.add_argument("folder", help="of a sweep, such as runs/quick_compare")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    words = parser.parse_args(argv)
    try:
        print(FORMATS[words.format](read_lines(Path(words.folder).expanduser())), end="")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_lines(folder: Path) -> list[Line]:
    """Return the lines of a sweep's table, in the order of its rows."""
    if not (folder / PLAN).is_file():
        raise ValueError(f"{folder} holds no {PLAN}; give the folder of a sweep")
    lines: dict[str, Line] = {}
    with open(folder / PLAN, encoding="utf-8", newline="") as file:
        for run in csv.DictReader(file):
            path = folder / run.pop("folder")
            name = _name(run)
            line = lines.setdefault(name, Line(name))
            line.planned += 1
            result = RunFolder(path).read_result()
            if result is not None:
                line.results.append(result["results"][-1])
    return list(lines.values())


def score_keys(results: Iterable[dict[str, Any]]) -> list[str]:
    """Return the scores to show of those that there are: the scopes' means, the harmonic mean."""
    found = dict.fromkeys(key for row in results for key in row["scores"])
    means = [key for key in found if key.endswith(MEAN)]
    return [*means, HARMONIC] if HARMONIC in found else means


def title(key: str) -> str:
    """Return what a person calls a score: local_mean -> Local, domain_photo_mean -> Photo."""
    return key.upper() if key == HARMONIC else heading(key.removesuffix(MEAN).removeprefix(DOMAIN))


def markdown(lines: list[Line]) -> str:
    """Return the table for people."""
    keys = score_keys(row for line in lines for row in line.results)
    table = [["Method", *map(title, keys), "n", "Trained", "Up", "Down"]]
    for line in lines:
        count = len(line.results)
        cost = [MISSING] * 3
        if line.results:
            row = line.results[0]
            cost = [f"{row['trained']:,}", size(row["up_bytes"]), size(row["down_bytes"])]
        told = f"{count}" if count == line.planned else f"{count} of {line.planned}"
        table.append([line.name, *(_cell(line.scores(key)) for key in keys), told, *cost])
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    lined = [[cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])] for cells in table]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lined) + f"\n{NOTE}\n"


def comma_separated(lines: list[Line]) -> str:
    """Return the table for programs: plain numbers, a deviation beside every mean."""
    keys = score_keys(row for line in lines for row in line.results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"{key}{end}" for key in keys for end in ("", "_deviation")]
    writer.writerow(["method", *names, "n", "planned", "trained", "up_bytes", "down_bytes"])
    for line in lines:
        scores = [line.scores(key) for key in keys]
        cells = [f(values) for values in scores for f in (_mean, _deviation)]
        row = line.results[0] if line.results else {}
        cost = [row.get(key) for key in ("trained", "up_bytes", "down_bytes")]
        writer.writerow([line.name, *cells, len(line.results), line.planned, *cost])
    return text.getvalue()


FORMATS: dict[str, Callable[[list[Line]], str]] = {"markdown": markdown, "csv": comma_separated}


def _name(run: dict[str, str]) -> str:
    """Return the line that a planned run belongs to: its row, and what differs but the seed."""
    point = {key: value for key, value in run.items() if key not in ("id", "row", "seed")}
    return ", ".join([run["row"], *(f"{key}={value}" for key, value in point.items())])


def _cell(values: list[float]) -> str:
    if not values:
        return MISSING
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):.2f}{spread}"


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def _deviation(values: list[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


if __name__ == "__main__":
    sys.exit(main())
