"""A kill of a sweep at every file operation of its bookkeeping; the same command then goes on."""

import csv
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import yaml

from launch import sweep, workers
from launch.jobs import read_jobs
from launch.plan import PLAN
from launch.tasks import Task
from pfedmma_dist.run.folder import RunFolder
from tests.faults.base import Base
from tests.faults.operations import Operation, kill_at, log_to, read_log, watch
from tests.faults.place import Place, first_trace
from tests.faults.ranks import STEP, Hook, Ranks
from tests.faults.runner import offspring
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.launch.stub_programs import FINISH

ROWS = ("first", "second")


def words(place: Place) -> list[str]:
    """Write a sweep of two runs and return the words that start it."""
    rows = {name: [] for name in ROWS}
    text = yaml.safe_dump({"base": ["data.name=folder"], "rows": rows}, sort_keys=False)
    (place.path / "mine.yaml").write_text(text)
    return [str(place.path / "mine.yaml"), f"run.folder={place.run}", "--ranks", "2"]


def command(task: Task, ranks: int) -> list[str]:
    """Return a command that leaves a result at once: it is the sweep that is tried, not the run."""
    folder = RunFolder(Path(task.config).parents[1] / task.run)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.config.write_bytes(Path(task.config).read_bytes())
    return [sys.executable, "-c", FINISH, str(folder.path), task.config]


def start(place: Place, hook: Hook) -> Ranks:
    """Start the sweep in a process of its own."""

    def arrange(rank: int) -> None:
        workers.command = command
        hook(rank)

    return Ranks(place.path / "said", words(place), 1, arrange, sweep.main)


def kill(place: Place, number: int, half: bool, operation: Operation) -> Iterator[Verdict]:
    """Kill the sweep there, let its runs end, and start it again."""
    name = f"{operation.what} {Path(operation.path).name}" + (", half-way" if half else "")
    arrange = lambda rank: watch([place.run], kill_at(number, operation.helper, half))  # noqa: E731
    killed = start(place, arrange).wait()
    if killed[0].code != -9:
        yield Verdict(name, Ending.FAILED, "the suite failed: this operation was not met again")
        return
    while offspring_of_us():
        time.sleep(STEP)
    again = start(place, lambda rank: None).wait()
    trace = first_trace([*killed, *again])
    if trace:
        yield Verdict(name, Ending.TRACEBACK, trace)
    elif again[0].code != 0:
        yield Verdict(name, Ending.FAILED, f"exit code {again[0].code}: {again[0].err[-200:]}")
    else:
        problem = whole(place.run)
        yield Verdict(name, Ending.SILENT if problem else Ending.UNHARMED, problem)


def offspring_of_us() -> list[int]:
    """Return the runs that the dead sweep has left to us."""
    left = offspring(os.getpid())
    for process in left:
        os.waitpid(process, os.WNOHANG)
    return left


def whole(folder: Path) -> str:
    """Say what the books of a finished sweep lack."""
    with open(folder / PLAN, newline="") as file:
        planned = [line["row"] for line in csv.DictReader(file)]
    if planned != list(ROWS):
        return f"{PLAN} plans {planned}"
    if not {job.run for job in read_jobs(folder)} <= set(ROWS):
        return "jobs.csv names other runs"
    missing = [name for name in ROWS if not (folder / name / "result.json").exists()]
    return f"no result of {missing}" if missing else ""


def trials(base: Base) -> Iterator[Trial]:
    """Yield a trial, or two, for every operation of an undisturbed sweep."""
    place, log, counts = base.place("sweep"), base.path / "sweep.txt", [0, 0]
    [ended] = start(place, lambda rank: watch([place.run], log_to(log))).wait()
    assert ended.code == 0, ended
    for operation in read_log(log):
        counts[operation.helper] += 1
        for half in (False, True) if operation.what == "write" else (False,):
            play = partial(kill, number=counts[operation.helper], half=half, operation=operation)
            yield Trial(operation.what, play)


KINDS = [
    Kind(
        "SIGKILL of a sweep at every file operation of its bookkeeping",
        "plan, configurations, logs and jobs.csv; the same command then finishes every run, and "
        "the books are whole (a temporary file of the last write may stay)",
        trials,
    )
]
