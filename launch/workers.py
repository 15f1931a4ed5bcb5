"""Run tasks on this machine, some at a time, by fork or in torchrun; tell how far they are."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from launch.forks import Fork, can_fork
from launch.gpus import dealt, visible
from launch.jobs import LOCAL, Job, add_jobs, process
from launch.pace import pace
from launch.state import first_error, outcome
from launch.stop import StopSignal
from launch.tasks import Task
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.quantities.units import duration
from pfedmma_dist.run.signals import STOPPED

SAVE_SECONDS = "600"
"""How long torchrun waits for a stopped run to finish its round and save; by itself 30 s."""


@dataclass
class Child:
    """A run in progress."""

    task: Task
    label: str
    log: Path
    process: subprocess.Popen[bytes] | Fork
    began: float
    worker: int  # of those that run at a time
    told: int = 0  # signals passed on

    @property
    def took(self) -> str:
        """Return how long the run has taken so far."""
        return f"{duration(time.monotonic() - self.began):>7}"


class Workers:
    """Runs the tasks of one sweep, a line each as they end."""

    def __init__(
        self, folder: Path, ranks: int, count: int, stop: StopSignal, *, pauses: bool = False
    ) -> None:
        """folder: of the sweep. ranks: of each run. count: runs at a time. pauses: whether runs may
        leave by run.pause_after, which is no failure then."""
        self.pauses = pauses
        self.folder, self.ranks, self.count, self.stop = folder, ranks, count, stop
        self.gpus = visible() if count > 1 else []  # else a run takes those that it finds
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def run(self, tasks: Sequence[tuple[str, Task]]) -> int:
        """Run labelled tasks until a signal comes, and return how many failed."""
        (self.folder / "logs").mkdir(exist_ok=True)
        waiting, running, failed = list(tasks), list[Child](), 0
        try:
            with self.console.status("") as status:
                while running or (waiting and not self.stop()):
                    while waiting and len(running) < self.count and not self.stop():
                        busy = {child.worker for child in running}
                        worker = min(set(range(self.count)) - busy)
                        running.append(self._start(*waiting.pop(0), worker))
                        self._write_down(running[-1])
                    for child in [*running]:
                        if child.process.poll() is not None:
                            running.remove(child)
                            failed += self._ended(child)
                    self._pass_on(running)
                    if self.console.is_terminal:  # else nobody sees it, and it costs
                        lines = [self._progress(child) for child in running]
                        status.update(Text("\n  ".join(lines)))  # [rank 1] is no markup
                    time.sleep(0.2 if running else 0)
        finally:
            for child in running:  # nobody would look after them
                child.process.terminate()
        return failed

    def say(self, label: str, took: str, words: str) -> None:
        """Print one line about one run."""
        self.console.print(f"{label}  {took:>7}  {words}", markup=False)

    def _start(self, label: str, task: Task, worker: int) -> Child:
        log = self.folder / "logs" / f"{task.run}.log"
        words = share_of_cores(task, self.ranks * self.count) if self.count > 1 else []
        began = time.monotonic()
        with open(log, "w", encoding="utf-8") as output:
            if self.ranks == 1 and can_fork():
                return Child(task, label, log, Fork([task.config, *words], log), began, worker)
            started = subprocess.Popen(
                [*command(task, self.ranks), *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": SAVE_SECONDS,
                    **os.environ,
                    **dealt(self.gpus, worker, self.ranks),
                },
                start_new_session=True,  # of a Ctrl-C it hears once, from us
            )
        return Child(task, label, log, started, began, worker)

    def _write_down(self, child: Child) -> None:
        """Add a run that was started to jobs.csv."""
        assert child.process.pid is not None
        task, job = child.task, process(child.process.pid)
        log = str(child.log.absolute())
        add_jobs(self.folder, [Job(task.run, task.id, job, LOCAL, self.ranks, task.config, log)])

    def _ended(self, child: Child) -> bool:
        """Tell how a run ended; return whether it failed."""
        if self.stop() and child.process.returncode:
            return False
        if child.process.returncode == 0:
            self.say(child.label, child.took, outcome(self.folder / child.task.run))
            return False
        if self.pauses and child.process.returncode == STOPPED:
            self.say(child.label, child.took, "paused")
            return False
        error = first_error([child.log.read_text(encoding="utf-8", errors="replace")])
        told = f"{error}; see {child.log}" if error else f"see {child.log}"
        self.say(child.label, child.took, f"failed: {told}")
        return True

    def _pass_on(self, running: Sequence[Child]) -> None:
        """Pass our signals on to the runs."""
        count = self.stop.count
        late = [child for child in running if child.told < count]
        if late and not any(child.told for child in running):
            self.console.print("stopping: rounds will be finished; a second signal ends at once")
        for child in late:
            child.told = count
            child.process.terminate()

    def _progress(self, child: Child) -> str:
        far = pace(self.folder / child.task.run, child.task.config, child.log)
        return f"{child.label}  {child.took}  {far}"


def command(task: Task, ranks: int) -> list[str]:
    """Return the command line of a run."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    return [sys.executable, *torchrun, "-m", "pfedmma_dist.train", task.config]


def share_of_cores(task: Task, processes: int) -> list[str]:
    """Return the word that gives a run its threads, among so many; none where it has its own."""
    section: Any = read_yaml(task.config)["run"]
    if section["threads"] is not None:
        return []
    return [f"run.threads={max(1, len(os.sched_getaffinity(0)) // processes)}"]
