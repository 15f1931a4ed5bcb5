"""The runs that a command line names: run folders, and folders of sweeps or contributions."""

import sys
from collections.abc import Iterable
from pathlib import Path

from launch.books import PLAN, point_of, read_plan
from launch.contributed import contributed_runs, is_leaderboard
from pfedmma_dist.results.outcome import Outcome, completed, read_outcome
from pfedmma_dist.run.folder import RunFolder


def named_runs(words: Iterable[str]) -> list[Outcome]:
    """Return the runs in these folders, each once; ValueError for a folder of neither kind.

    A run named by itself and by its sweep counts as its sweep's. A damaged one is named on standard
    error, and what is damaged counts as missing.
    """
    paths = [Path(word).expanduser() for word in words]
    sweeps = [run for path in paths if is_sweep(path) for run in sweep_runs(path)]
    boards = [path for path in paths if not is_sweep(path) and is_leaderboard(path)]
    given = [run for path in boards for run in contributed_runs(path)]
    others = [path for path in paths if not (is_sweep(path) or path in boards)]
    alone = [_alone(path) for path in others if not _is_unstarted(path)]
    found = {run.path.resolve(): run for run in reversed([*sweeps, *given, *alone])}
    runs = list(reversed(found.values()))
    for run in runs:
        for problem in run.problems:
            print(f"damaged  {problem}", file=sys.stderr)
    return runs


def sweep_runs(folder: Path) -> list[Outcome]:
    """Return all runs that a sweep has planned, as far as they have come."""
    return completed(
        read_outcome(folder / line["folder"], line["row"], point_of(line))
        for line in read_plan(folder)
    )


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / PLAN).is_file()


def _is_unstarted(path: Path) -> bool:
    """Whether a folder is that of a run that waits, or was ended, before it began; say so."""
    folder = RunFolder(path)
    begun = folder.config.is_file() or folder.result.is_file()
    if begun or not (folder.lock_file.is_file() or folder.jobs.is_dir()):
        return False
    print(f"skipped  {path} holds no run yet", file=sys.stderr)
    return True


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
