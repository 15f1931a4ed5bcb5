"""A search whose candidates are proposed: batches go up the rungs until all trials are told."""

import argparse
import sys
from collections.abc import Sequence

from launch.chosen import seeds_of, write_preset
from launch.climb import is_there, task
from launch.halving import Candidate, Contest
from launch.jobs import only_one
from launch.plan import read_sweep, write_plan
from launch.sampler import Trial
from launch.trials import Search, searches
from launch.workers import StopSignal, Workers
from pfedmma_dist.results.markdown import grid
from pfedmma_dist.run.signals import STOPPED


def search(
    words: argparse.Namespace,
    contests: Sequence[Contest],
    count: int,
    shares: tuple[int, int],
    command: str,
) -> int:
    """Train what Optuna proposes, batch after batch, and write down what won; return the exit code.

    contests: the rows, whose grids are what is searched within.
    """
    folder = contests[0].found[0].runs[0].folder.path.parent
    with only_one(folder) as own, StopSignal() as stop:
        own.stay()
        workers = Workers(folder, *shares, stop, pauses=True)
        rows = searches(
            words.sweep, read_sweep(words.sweep), words.words, contests,
            eta=words.eta, count=count, seed=words.sampler_seed or 0, folder=folder,
        )  # fmt: skip
        while any(row.left for row in rows):
            batches = [(row, row.propose()) for row in rows if row.left]
            write_plan([run for row in rows for run in row.runs.values()])
            for row, batch in batches:
                if not _climb(row, batch, workers):
                    print("stopped; the same command goes on from here", file=sys.stderr)
                    return STOPPED
    for row in rows:
        best, (spent, whole) = row.best(), row.spent()
        share = f"{spent:,} of {whole:,} rounds ({spent / whole:.0%})"
        found = row.candidate(best.point)
        print(_listed(row, found.words, share), end="")
        lines = [
            f"the best of {len(row.study.trials)} trials of Optuna by Val after {max(best.told)} "
            f"rounds, {best.value:.2f} %,",
            f"mean over seeds {seeds_of(found)}. {share}.",
        ]
        print(f"preset  {write_preset(folder, found, lines, command)}", flush=True)
    return 0


def _climb(row: Search, batch: list[tuple[Candidate, Trial]], workers: Workers) -> bool:
    """Train a batch up the rungs and tell Optuna; return whether no signal came."""
    trials = [trial for _, trial in batch]
    for rounds in row.lengths:
        here = [(one, trial) for one, trial in batch if not (trial.pruned or trial.failed)]
        due = {
            run.name: task(run, rounds)
            for one, _ in here
            for run in one.runs
            if not is_there(run, rounds)
        }
        failed = workers.run(list(due.values()))
        if workers.stop():
            return False
        if failed:
            print(f"{failed} of {len(due)} failed; their trials tell nothing", file=sys.stderr)
        for one, trial in here:
            trial.told[rounds] = one.val_after(rounds)
        row.prune(rounds, trials)
    if all(trial.failed for trial in trials):
        raise ValueError(
            f"{row.row}: no trial of the last {len(trials)} has a Val; see the logs beside its "
            "runs; the same command tries them again"
        )
    row.study.tell(trials)
    return True


def _listed(row: Search, best: str, share: str) -> str:
    lines = [["Trial", *(f"Val, round {length}" for length in row.lengths)]]
    for trial in row.study.trials:
        told = [f"{trial.told[n]:.2f}" if n in trial.told else "" for n in row.lengths]
        lines.append([row.candidate(trial.point).words, *told])
    return grid(f"{row.row}: {best}; {share}", lines)
