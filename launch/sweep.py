"""Run a sweep: `python -m launch.sweep SWEEP.yaml [key=value] [--cluster slurm/X.yaml]`.

On this machine: some runs at a time, by fork or each in torchrun (--ranks), their words in logs/
beside the run folders; at the end, the table. With --cluster: one SLURM array per chunk, submitted
and not waited for. All runs are checked before the first is started. The same command again starts
what is missing, failed or incomplete, and leaves alone what is finished, pending or running. Exit
codes: 0 all finished or submitted, 1 some failed, 2 something to mend, 75 stopped by a signal.
"""

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from launch.words import PROCESSES, parser

if __name__ == "__main__":  # what the words decide is told before the rest is imported
    parser().parse_intermixed_args()

from launch.array import submit_arrays
from launch.cluster import Cluster, read_cluster, refuse_without_slurm
from launch.cluster_files import absolute_file
from launch.forks import can_fork
from launch.jobs import only_one
from launch.plan import (
    PlannedRun,
    adoption_warnings,
    check_ranks,
    is_finished,
    plan,
    unread_everywhere,
    write_plan,
)
from launch.runs import sweep_runs
from launch.script import check_log_folder
from launch.slurm import max_array_size
from launch.state import BUSY, RunState, read_states
from launch.tasks import Task, tell
from launch.workers import StopSignal, Workers
from pfedmma_dist.ending import ended
from pfedmma_dist.reading import Unreadable
from pfedmma_dist.results.markdown import markdown
from pfedmma_dist.results.tables import tables
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.spelling import spelled

HERE = ", or leave out --cluster to run here"
"""Ends the refusal of a machine without Slurm."""


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    words = parser().parse_intermixed_args(argv)
    try:
        cluster = _cluster(words)
        runs = plan(words.sweep, words.words)
        folder = runs[0].folder.path.parent
        ranks, workers = processes(words.ranks, words.workers)
        for run in runs:
            if cluster:
                on_gpus = bool(cluster.gpus_per_rank)
                check_ranks(run.config, cluster.num_ranks, on_gpus=on_gpus)
            else:
                check_ranks(run.config, ranks)
        for remark in [*unread_everywhere(runs), *adoption_warnings(runs)]:
            print(f"warning: {spelled(remark)}", file=sys.stderr)
        if cluster:
            check_log_folder(folder)
        if words.dry_run:
            show(runs, states_of(folder, runs))
            return 0
        if cluster:
            return submit(folder, runs, cluster, absolute_file(words.cluster))
        return run_here(folder, runs, ranks, workers)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2


def run_here(folder: Path, runs: Sequence[PlannedRun], ranks: int, count: int) -> int:
    """Run on this machine what has to be started, and print the table; return the exit code."""
    code = start_here(folder, runs, ranks, count)
    if code != STOPPED:
        print(markdown(tables(sweep_runs(folder))), end="", flush=True)
    return code


def start_here(
    folder: Path,
    runs: Sequence[PlannedRun],
    ranks: int,
    count: int,
    planned: Sequence[PlannedRun] = (),
) -> int:
    """Run on this machine what has to be started; return the exit code.

    planned: what the sweep consists of, where that is more.
    """
    with only_one(folder) as own, StopSignal() as stop:
        states = states_of(folder, runs)
        own.stay()
        write_plan(list(planned or runs))
        print(total(states), file=sys.stderr, flush=True)
        workers = Workers(folder, ranks, count, stop)
        width = max(len(run.name) for run in runs)
        due = []
        for index, (run, state) in enumerate(zip(runs, states, strict=True), start=1):
            label = f"{index:>{len(str(len(runs)))}}/{len(runs)}  {run.name:<{width}}"
            if state.state == "done":
                workers.say(label, "before", state.note)
            elif state.state in BUSY:
                workers.say(label, state.state, state.note)
            else:
                due.append((label, Task.of(run)))
        failed = workers.run(due)
    if stop():
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED
    return 1 if failed else 0


def submit(
    folder: Path,
    runs: Sequence[PlannedRun],
    cluster: Cluster,
    file: str,
    planned: Sequence[PlannedRun] = (),
) -> int:
    """Submit what has to be started, say how to follow it, and return the exit code.

    planned: what the sweep consists of, where that is more.
    """
    refuse_without_slurm(HERE)
    most = max_array_size()
    with only_one(folder) as own, StopSignal() as stop:
        states = states_of(folder, runs)
        own.stay()
        write_plan(list(planned or runs))
        due = [r for r, state in zip(runs, states, strict=True) if _is_due(state)]
        tasks = [Task.of(run) for run in due]
        jobs = submit_arrays(folder, tasks, cluster, file, most, stop)
    print(total(states))
    tell(folder, jobs)
    if len(jobs) < len(tasks):
        print("stopped; the same command submits the rest", file=sys.stderr)
        return STOPPED
    return 0


def total(states: Sequence[RunState]) -> str:
    """Say in one line what becomes of all runs."""
    counts = Counter("to start" if _is_due(state) else state.state for state in states)
    parts = [f"{count} {state}" for state, count in counts.items()]
    return f"{len(states)} runs: {', '.join(parts)}"


def states_of(folder: Path, runs: Sequence[PlannedRun]) -> list[RunState]:
    """Return how far the runs are; ValueError where one cannot be started as it is planned now."""
    for run in runs:
        with suppress(Unreadable):  # of which the run's own state tells
            is_finished(run)  # refuses the result of another run
    states, trouble = read_states(folder, {run.name: run.id for run in runs})
    if trouble:
        raise ValueError(f"which runs are queued is not known: {trouble}")
    for run, state in zip(runs, states, strict=True):
        job = state.job
        if state.state in BUSY and job is not None and job.id not in run.ids:
            raise ValueError(
                f"{state.run} is {state.state} as job {job.job} with another configuration "
                f"({job.id}); cancel it by python -m launch.status {folder} --cancel, "
                "or set another run.folder"
            )
    return states


def processes(ranks: int | None, workers: int | None) -> tuple[int, int]:
    """Return ranks per run and runs at a time on this machine; None: not said."""
    if ranks is None and workers is None:
        return (1, PROCESSES) if can_fork() else (PROCESSES, 1)
    return ranks or 1, workers or 1


def _is_due(state: RunState) -> bool:
    return state.state not in ("done", *BUSY)


def show(runs: Sequence[PlannedRun], states: Sequence[RunState]) -> None:
    """Print the plan."""
    told = ["to run" if _is_due(state) else state.state for state in states]
    width = max(map(len, told))
    for run, word in zip(runs, told, strict=True):
        print(f"{run.id}  {word:<{width}}  {run.name}:  {shlex.join(run.words)}")
    print(total(states))


def _cluster(words: argparse.Namespace) -> Cluster | None:
    """Return the cluster to submit to; None for this machine."""
    if words.cluster is None:
        return None
    for option in ("ranks", "workers"):
        if getattr(words, option) is not None:
            raise ValueError(
                f"--{option}: is for this machine; {words.cluster} says nodes, ranks_per_node and "
                "array_parallelism"
            )
    return read_cluster(words.cluster)


if __name__ == "__main__":
    sys.exit(ended(main))
