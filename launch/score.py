"""Score the runs of a sweep on other data sets: `python -m launch.score SWEEP.yaml [key=value]`.

Every finished run, wherever it was trained, on each set of the sweep's `score_on`, as
`pfedmma_dist.evaluate RUN --cross ARGUMENTS` does; the words are those that the sweep was started
with. Works on this machine (on a cluster: srun -n 1 python -m launch.score ...), its words in logs/
beside the run folders; at the end, the tables of `launch.generalise`. The same command again scores
what is missing. Exit codes: 0 all scored, 1 some failed or have not finished training, 2 something
to mend, 75 stopped by a signal.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.forks import Fork, can_fork
from launch.plan import PlannedRun, is_finished, plan, read_sweep
from launch.runs import sweep_runs
from launch.state import first_error
from launch.stop import StopSignal
from launch.words import count_of
from pfedmma_dist.ending import ended
from pfedmma_dist.quantities.units import duration
from pfedmma_dist.results.evaluations import is_scored
from pfedmma_dist.results.generalisation import generalisation
from pfedmma_dist.results.markdown import markdown
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.spelling import spelled

PROGRAM = "pfedmma_dist.evaluate"


@dataclass(frozen=True)
class Due:
    """One run to score on one data set."""

    run: PlannedRun
    words: tuple[str, ...]  # of the set
    log: Path

    @property
    def label(self) -> str:
        """Say what it is."""
        return f"{self.run.name} on {' '.join(self.words) or 'its own set'}"


@dataclass
class Scoring:
    """One of them in progress."""

    due: Due
    process: "subprocess.Popen[bytes] | Fork"
    began: float


def main(argv: list[str] | None = None) -> int:
    """Score what is missing, print the tables, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.score", description=__doc__)
    parser.add_argument("sweep", metavar="SWEEP.yaml", help="one with score_on")
    parser.add_argument("words", metavar="key=value", nargs="*", help="as for launch.sweep")
    parser.add_argument("--workers", metavar="N", type=count_of, default=1, help="at a time; 1")
    parser.add_argument("--dry-run", action="store_true", help="say what is missing, score nothing")
    words = parser.parse_intermixed_args(argv)
    try:
        runs, sets = plan(words.sweep, words.words), read_sweep(words.sweep).score_on
        if not sets:
            raise ValueError(
                f"{words.sweep}: score_on names no data set; write score_on: [[data.name=dtd]], say"
            )
        folder = runs[0].folder.path.parent
        finished = [run for run in runs if is_finished(run)]
        due = missing(folder, finished, sets)
        told = f"{len(finished) * len(sets)} evaluations: {len(due)} to do"
        print(told, file=sys.stderr)
        if len(finished) < len(runs):
            print(f"{len(runs) - len(finished)} of {len(runs)} runs have not finished: python -m "
                  f"launch.sweep {words.sweep} goes on with them", file=sys.stderr)  # fmt: skip
        if words.dry_run:
            print("".join(f"{each.label}\n" for each in due), end="")
            return 0
        failed = score_all(due, words.workers)
        if failed is None:
            print("stopped; the same command goes on from here", file=sys.stderr)
            return STOPPED
        if finished:
            print(markdown(generalisation(sweep_runs(folder))), end="", flush=True)
        return 1 if failed or len(finished) < len(runs) else 0
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2


def missing(folder: Path, runs: Sequence[PlannedRun], sets: Sequence[Sequence[str]]) -> list[Due]:
    """Return what is to be scored yet, set by set; folder: of the sweep."""
    return [
        Due(run, tuple(own), folder / "logs" / f"{run.name}-on-{place}.log")
        for place, own in enumerate(sets)
        for run in runs
        if not is_scored(run.folder, own)
    ]


def score_all(due: Sequence[Due], count: int) -> int | None:
    """Score all of these, `count` at a time; return how many failed, None where a signal came."""
    waiting, running, failed = list(due), list[Scoring](), 0
    with StopSignal() as stop:
        try:
            while (running or waiting) and not stop():
                while waiting and len(running) < count:
                    running.append(_start(waiting.pop(0)))
                for each in [*running]:
                    if each.process.poll() is not None:
                        running.remove(each)
                        failed += _ended(each)
                time.sleep(0.2 if running else 0)
        finally:
            for each in running:  # nothing of it is written before the end
                each.process.terminate()
        return None if stop() else failed


def _start(due: Due) -> Scoring:
    due.log.parent.mkdir(exist_ok=True)
    words = [str(due.run.folder.path), "--cross", *due.words]
    with open(due.log, "wb") as output:
        if can_fork():
            return Scoring(due, Fork(words, due.log, PROGRAM), time.monotonic())
        command = [sys.executable, "-m", PROGRAM, *words]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        return Scoring(due, process, time.monotonic())


def _ended(scored: Scoring) -> bool:
    """Tell how it ended; return whether it failed."""
    took, due = duration(time.monotonic() - scored.began), scored.due
    if scored.process.returncode == 0:
        print(f"{due.label}  {took}", file=sys.stderr, flush=True)
        return False
    error = first_error([due.log.read_text(encoding="utf-8", errors="replace")])
    words = f"{error}; see {due.log}" if error else f"see {due.log}"
    print(f"{due.label}  {took}  failed: {words}", file=sys.stderr, flush=True)
    return True


if __name__ == "__main__":
    sys.exit(ended(main))
