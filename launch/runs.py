"""The runs that a command line names: run folders, and the folders of sweeps."""

import csv
from collections.abc import Iterable
from pathlib import Path

from launch.plan import PLAN
from pfedmma_dist.config.merge import Word, parsed
from pfedmma_dist.results.outcome import Outcome, completed, read_outcome
from pfedmma_dist.run.folder import RunFolder

NO_KEYS = ("id", "row", "folder")
"""Columns of a plan that are no key of the grid; those of a grid are keys of the configuration."""


def named_runs(words: Iterable[str]) -> list[Outcome]:
    """Return the runs in these folders, each once; ValueError for a folder of neither kind.

    A run named by itself and by its sweep counts as its sweep's.
    """
    paths = [Path(word).expanduser() for word in words]
    sweeps = [run for path in paths if is_sweep(path) for run in sweep_runs(path)]
    alone = [_alone(path) for path in paths if not is_sweep(path)]
    found = {run.path.resolve(): run for run in reversed([*sweeps, *alone])}
    return list(reversed(found.values()))


def sweep_runs(folder: Path) -> list[Outcome]:
    """Return all runs that a sweep has planned, as far as they have come."""
    with open(folder / PLAN, encoding="utf-8", newline="") as file:
        return completed(
            read_outcome(
                folder / line["folder"],
                line["row"],
                {key: parsed(Word(text)) for key, text in line.items() if key not in NO_KEYS},
            )
            for line in csv.DictReader(file)
        )


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / PLAN).is_file()


def _alone(path: Path) -> Outcome:
    folder = RunFolder(path)
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}; give those of runs or sweeps")
    if not (folder.config.is_file() or folder.result.is_file()):
        inside = any(path.glob(f"*/{folder.config.name}"))
        remedy = f"; name the runs in it: {path}/*" if inside else ""
        raise ValueError(
            f"{path} is neither a run (no {folder.config.name}) nor a sweep (no {PLAN}){remedy}"
        )
    return read_outcome(path)
