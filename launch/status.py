"""How far a sweep is: `python -m launch.status FOLDER [--retry | --cancel]`.

A line per run: done, running (round, time left), pending, failed (the first error and its log),
stopped (by a signal or a cancellation; it can go on) or missing (never started). --retry starts the
failed and the stopped ones again where they were started; --cancel ends all jobs of the sweep, and
what it runs on this machine. Exit codes: 0, 1 where a run failed, 2 something to mend.
"""

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from launch.array import submit_arrays
from launch.books import PLAN, read_plan
from launch.cluster import read_cluster, refuse_without_slurm
from launch.jobs import LOCAL, Job, launcher, only_one, read_jobs
from launch.script import check_log_folder
from launch.slurm import cancel, max_array_size, queued
from launch.state import OVER, STATES, RunState, read_states
from launch.tasks import Task, go_back, tell
from launch.workers import StopSignal, Workers
from pfedmma_dist.ending import ended
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.spelling import spelled

CONFIG = RunFolder("").config.name


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m launch.status",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", help="of a sweep, such as runs/quick_compare")
    deed = parser.add_mutually_exclusive_group()
    deed.add_argument("--retry", action="store_true", help="start failed and stopped runs again")
    deed.add_argument("--cancel", action="store_true", help="end what is pending or running")
    words = parser.parse_args(argv)
    folder = Path(words.folder).expanduser()
    try:
        if words.retry:
            return retry(folder)
        if words.cancel:
            return stop(folder)
        return show(folder)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2


def show(folder: Path) -> int:
    """Print a line per run and a total, and return the exit code."""
    states, trouble = _states(folder)
    width = max(len(state.run) for state in states)
    for state in states:
        print(f"{state.state:<7}  {state.run:<{width}}  {state.note}".rstrip())
    counts = Counter(state.state for state in states)
    print(f"{len(states)} runs: " + ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s]))
    planned = {state.run for state in states}
    for path in sorted(folder.glob(f"*/{CONFIG}")):
        if path.parent.name not in planned:
            print(f"{path.parent} is a run, and in no row of {PLAN}", file=sys.stderr)
    if trouble:
        print(f"unknown runs may be queued: {trouble}", file=sys.stderr)
    return 1 if counts["failed"] else 0


def retry(folder: Path) -> int:
    """Start what failed or stopped again where it was started, and return the exit code."""
    read_plan(folder)
    failed, folder = False, folder.absolute()
    go_back(folder)
    with only_one(folder), StopSignal() as asked:
        states, trouble = _states(folder)
        if trouble:
            raise ValueError(f"which runs are queued is not known: {trouble}")
        jobs = [state.job for state in states if state.state in OVER and state.job is not None]
        if not jobs:
            print("nothing to start again")
            return 0
        places = sorted(jobs, key=lambda job: (job.cluster == LOCAL, job.cluster, job.ranks))
        # Clusters first: what runs here is waited for.
        for (cluster, ranks), group in groupby(places, lambda job: (job.cluster, job.ranks)):
            again = list(group)
            if cluster == LOCAL:
                failed |= _here(folder, again, ranks, asked)
            else:
                _submit(folder, again, cluster, asked)
    if asked():
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED
    return 1 if failed else 0


def stop(folder: Path) -> int:
    """Cancel the jobs of a sweep and stop what runs of it on this machine; return the exit code."""
    read_plan(folder)
    process = launcher(folder)
    if process is not None:
        os.kill(int(process.rpartition(":")[2]), signal.SIGTERM)
        print(f"asked process {process} to stop; it finishes and saves its rounds first")
    ours = {job.job for job in read_jobs(folder) if not job.is_local}
    names = sorted(ours & queued(folder).keys()) if ours else []
    if names:
        cancel(names)
        print(f"cancelled {' '.join(names)}")
    elif process is None:
        print("nothing is pending or running")
    return 0


def _states(folder: Path) -> tuple[list[RunState], str]:
    return read_states(folder, {row["folder"]: row["id"] for row in read_plan(folder)})


def _here(folder: Path, jobs: Sequence[Job], ranks: int, asked: StopSignal) -> bool:
    """Run on this machine; return whether one failed."""
    width = max(len(job.run) for job in jobs)
    due = [
        (f"{index}/{len(jobs)}  {job.run:<{width}}", Task.again(job))
        for index, job in enumerate(jobs, start=1)
    ]
    return Workers(folder, ranks, 1, asked).run(due) > 0


def _submit(folder: Path, jobs: Sequence[Job], file: str, asked: StopSignal) -> None:
    refuse_without_slurm()
    check_log_folder(folder)
    cluster = read_cluster(file)
    tasks = [Task.again(job) for job in jobs]
    tell(folder, submit_arrays(folder, tasks, cluster, file, max_array_size(), asked))


if __name__ == "__main__":
    sys.exit(ended(main))
