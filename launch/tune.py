"""Choose rates and options on validation images: `python -m launch.tune SWEEP.yaml [key=value]`.

Each row of the sweep is a method, each point of its grid but for the seed a candidate. Successive
halving: all candidates train a part of the rounds, the better third of them three times as many,
and so on; survivors go on from their checkpoints, to the bits of a run that never paused. Runs are
judged by Val alone, so data.validation must set images apart. The winner of each row is written as
a preset that says how it was chosen. The same command again goes on. Exit codes: those of a sweep.

With --sampler optuna, Optuna proposes the candidates instead, --trials of them: numbers with a
point between the least and the greatest of the grid, other values among those of the grid.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence

from launch.chosen import seeds_of, write_preset
from launch.climb import is_there, task
from launch.halving import Candidate, Contest, candidates, rungs
from launch.jobs import only_one
from launch.plan import PlannedRun, plan, unread_everywhere, write_plan
from launch.proposals import search
from launch.sampler import refuse_missing
from launch.sweep import processes
from launch.trials import words_of
from launch.words import count_of
from launch.workers import StopSignal, Workers
from pfedmma_dist.ending import ended
from pfedmma_dist.results.markdown import grid
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.spelling import spelled

ETA = 3
TRIALS = 20


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.tune", description=__doc__)
    parser.add_argument("sweep", metavar="SWEEP.yaml", help="with a grid of what is to be chosen")
    parser.add_argument("words", metavar="key=value", nargs="*", help="as for launch.sweep")
    parser.add_argument("--eta", metavar="N", type=count_of, default=ETA, help="of N one survives")
    parser.add_argument("--sampler", choices=["optuna"], help="who proposes candidates; the grid")
    parser.add_argument(
        "--trials", metavar="N", type=count_of, help=f"of each row, with --sampler; {TRIALS}"
    )
    parser.add_argument("--sampler-seed", metavar="N", type=int, help="of its proposals; 0")
    parser.add_argument("--workers", metavar="N", type=count_of, help="runs at a time")
    parser.add_argument("--ranks", metavar="N", type=count_of, help="of each run")
    parser.add_argument("--dry-run", action="store_true", help="print the rungs, start nothing")
    words = parser.parse_intermixed_args(argv)
    try:
        if words.eta < 2:
            raise ValueError(f"--eta: {words.eta}; set 2 or more")
        runs = plan(words.sweep, words.words)
        for remark in unread_everywhere(runs):
            print(f"warning: {spelled(remark)}", file=sys.stderr)
        contests = [_contest(row, own, words.eta) for row, own in candidates(runs).items()]
        count = _trials(words)
        for contest in contests:
            told = words_of(contest, words.eta, count) if count else contest.words
            print(f"{contest.row}: {told}", flush=True)
        if words.dry_run:
            return 0
        shares = processes(words.ranks, words.workers)
        if count:
            return search(words, contests, count, shares, _command(argv))
        return tune(contests, runs, shares, _command(argv))
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2


def tune(
    contests: Sequence[Contest],
    runs: Sequence[PlannedRun],
    shares: tuple[int, int],  # ranks of a run, runs at a time
    command: str,
) -> int:
    """Run rung after rung and write down what won; return the exit code."""
    folder = runs[0].folder.path.parent
    with only_one(folder) as own, StopSignal() as stop:
        own.stay()
        write_plan(list(runs))
        workers = Workers(folder, *shares, stop, pauses=True)
        for place in range(max(len(contest.ladder) for contest in contests)):
            here = [contest for contest in contests if place < len(contest.ladder)]
            due = [
                task(run, contest.ladder[place].rounds)
                for contest in here
                for one in contest.on(place)
                for run in one.runs
                if not is_there(run, contest.ladder[place].rounds)
            ]
            failed = workers.run(due)
            if stop():
                print("stopped; the same command goes on from here", file=sys.stderr)
                return STOPPED
            if failed:
                words = "failed and count as the worst; the same command tries them again"
                print(f"{failed} of {len(due)} {words}", file=sys.stderr)
            for contest in here:
                contest.add(place)
            lost = [c.row for c in here if all(map(math.isnan, c.scores(place).values()))]
            if lost:
                raise ValueError(f"{', '.join(lost)}: no candidate has a Val; see {folder}/logs")
    for contest in contests:
        print(_table(contest), end="")
        lines = [
            f"the best of {len(contest.found)} by Val after {contest.last} rounds, "
            f"{contest.told[contest.best][contest.last]:.2f} %,",
            f"mean over seeds {seeds_of(contest.best)}. {contest.words}.",
        ]
        print(f"preset  {write_preset(folder, contest.best, lines, command)}", flush=True)
    return 0


def _trials(words: argparse.Namespace) -> int:
    """Return how many trials a sampler has to propose; 0: the grid is halved."""
    if words.sampler is None:
        for name in ("trials", "sampler_seed"):
            if getattr(words, name) is not None:
                told = f"--{name.replace('_', '-')}"
                raise ValueError(f"{told}: is read with --sampler optuna alone; add that")
        return 0
    refuse_missing()
    return words.trials or TRIALS


def _contest(row: str, found: list[Candidate], eta: int) -> Contest:
    """Return candidates and their rungs; ValueError where they could not be told apart."""
    configs = [run.config for one in found for run in one.runs]
    if len(found) < 2:
        raise ValueError(
            f"grid: row {row!r} has a single candidate; give a key of its own, such as optim.lr, "
            "several values"
        )
    if not all(config.data.validation for config in configs):
        raise ValueError(
            "data.validation: 0 holds no image apart, and nothing is chosen by test images; set "
            "data.validation=0.2, say"
        )
    settings = {(config.federation.rounds, config.evaluate.every) for config in configs}
    if len(settings) > 1:
        raise ValueError(
            "grid: candidates of one row differ in federation.rounds or evaluate.every, and are "
            "compared after the same rounds; give these one value"
        )
    [(rounds, every)] = settings
    if not every:
        raise ValueError(
            f"evaluate.every: {every} scores no round on the way; set evaluate.every=N, of which "
            "every rung is a multiple"
        )
    return Contest(row, found, rungs(len(found), rounds, every, eta))


def _table(contest: Contest) -> str:
    lengths = [rung.rounds for rung in contest.ladder]
    lines = [["Candidate", *(f"Val, round {length}" for length in lengths)]]
    for one in contest.found:
        values = contest.told[one]
        told = [f"{values[length]:.2f}" if length in values else "" for length in lengths]
        lines.append([one.words, *told])
    return grid(f"{contest.row}: {contest.best.words}", lines)


def _command(argv: list[str] | None) -> str:
    words = sys.argv[1:] if argv is None else argv
    return f"python -m launch.tune {shlex.join(words)}"


if __name__ == "__main__":
    sys.exit(ended(main))
