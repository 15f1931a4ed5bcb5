"""Run a sweep on this machine: `python -m launch.sweep SWEEP.yaml [key=value] [--ranks N]`.

One run after another, each in torchrun, its words in logs/ beside the run folders. All are checked
before the first is started. The same command again goes on with what is not finished yet. Exit
codes: 0 all finished, 1 some failed, 2 something to mend, 75 stopped by a signal.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from launch.plan import PlannedRun, check_ranks, is_finished, plan, write_plan
from launch.table import markdown, read_lines, score_keys, title
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.run.table import duration

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ERROR = re.compile(r"^(\[rank ?\d+\]:? )?(error|[\w.]+Error): .*", re.MULTILINE)
SAVE_SECONDS = "600"
"""How long torchrun waits for a stopped run to finish its round and save; by itself 30 s."""


class StopSignal:
    """Counts requests to stop inside its `with`; the run in progress is told by `start`."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    words = _parser().parse_intermixed_args(argv)
    try:
        runs = plan(words.sweep, words.words)
        for run in runs:
            check_ranks(run.config, words.ranks)
        finished = [is_finished(run) for run in runs]
        if words.dry_run:
            for run, done in zip(runs, finished, strict=True):
                state = "finished" if done else "to run"
                print(f"{run.id}  {state:<8}  {run.name}:  {shlex.join(run.words)}")
            return 0
        folder = write_plan(runs)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with StopSignal() as stop:
        failed = run_all(runs, finished, words.ranks, folder / "logs", stop)
    if stop.count:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED
    print(markdown(read_lines(folder)), end="", flush=True)
    return 1 if failed else 0


def run_all(
    runs: list[PlannedRun], finished: list[bool], ranks: int, logs: Path, stop: StopSignal
) -> int:
    """Run what is not finished, one line each, until a signal; return how many runs failed."""
    logs.mkdir(exist_ok=True)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    width = max(len(run.name) for run in runs)
    failed = 0
    for index, (run, done) in enumerate(zip(runs, finished, strict=True), start=1):
        label = f"{index:>{len(str(len(runs)))}}/{len(runs)}  {run.name:<{width}}"
        took, log = "before", logs / f"{run.name}.log"
        if not done:
            if stop.count:
                break
            began = time.monotonic()
            code = start(run, ranks, log, stop, console, label)
            took = duration(time.monotonic() - began)
            if stop.count:
                break
            if code:
                failed += 1
                console.print(f"{label}  {took:>7}  failed: {first_error(log)}", markup=False)
                continue
        console.print(f"{label}  {took:>7}  {outcome(run)}", markup=False)
    return failed


def start(
    run: PlannedRun, ranks: int, log: Path, stop: StopSignal, console: Console, label: str
) -> int:
    """Run one run to its end, or to the end of its round where a signal comes; return its code."""
    began, told = time.monotonic(), 0
    with open(log, "w", encoding="utf-8") as output, console.status(label) as status:
        child = subprocess.Popen(
            command(run, ranks),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": SAVE_SECONDS, **os.environ},
            start_new_session=True,  # of a Ctrl-C it hears once, from us
        )
        while True:
            try:
                return child.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                status.update(f"{label}  {duration(time.monotonic() - began):>7}  {rounds(run)}")
            if told < stop.count:
                told = stop.count
                child.terminate()
                console.print("stopping: this round will be finished; a second signal ends at once")


def command(run: PlannedRun, ranks: int) -> list[str]:
    """Return the command line of a run."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    return [sys.executable, *torchrun, "-m", "pfedmma_dist.train", *run.words]


def rounds(run: PlannedRun) -> str:
    """Say how far a run is."""
    metrics = run.folder.metrics
    done = len(metrics.read_text(encoding="utf-8").splitlines()) - 1 if metrics.exists() else 0
    return f"round {done} of {run.config.federation.rounds}" if done > 0 else ""


def outcome(run: PlannedRun) -> str:
    """Return the scores of a finished run on one line."""
    row = run.folder.read_result()["results"][-1]
    return "  ".join(f"{title(key)} {row['scores'][key]:.2f}" for key in score_keys([row]))


def first_error(log: Path) -> str:
    """Return the first error in a log, and the log's path."""
    told = ERROR.search(log.read_text(encoding="utf-8", errors="replace"))
    return f"{told.group()}; see {log}" if told else f"see {log}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m launch.sweep",
        description="Run a sweep on this machine, one run after another, and print its table.",
    )
    parser.add_argument("sweep", metavar="SWEEP.yaml", help="such as configs/sweep/*.yaml")
    parser.add_argument(
        "words",
        metavar="key=value",
        nargs="*",
        help="for every run; for a key of the grid its values; run.folder is the sweep's folder",
    )
    parser.add_argument("--ranks", metavar="N", type=_count, default=2, help="of each run; 2")
    parser.add_argument("--dry-run", action="store_true", help="print the runs, start none")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
