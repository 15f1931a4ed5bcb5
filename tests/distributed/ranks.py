"""Ranks as forks of a process that has imported everything: quick to start, and each to be told."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from driver import MISHAPS, arrange
from ports import free_port
from runs import PLACE, Ended, undraw

from pfedmma_dist import command, rounds, train
from pfedmma_dist.build import zero_shot
from pfedmma_dist.run.signals import SIGNALS
from pfedmma_dist.world import roster, waiting, world

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "open_clip", "torch.utils.tensorboard"])

PATIENCE = 60
"""Seconds after which a test gives up on its ranks."""

LONG = 240
"""The same, for ranks that are only to run to their ends."""

Mishap = tuple[str, int, int]
"""What comes over which rank, in which round."""

Main = Callable[[list[str]], int]


def forks(work: Callable[..., None], each: list[tuple[Any, ...]]) -> list[Any]:
    """Start a process for each of these arguments."""
    processes = [FORKS.Process(target=work, args=words) for words in each]
    with pytest.MonkeyPatch.context() as context:
        context.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for it to find us
        context.setenv("OMP_NUM_THREADS", "1")
        forkserver.ensure_running()
    for process in processes:
        process.start()
    return processes


class Ranks:
    """The ranks of one run, their words in a file each."""

    def __init__(
        self,
        words: list[str],
        folder: Path,
        mishap: Mishap | None,
        size: int = 2,
        quick: bool = True,
        main: Main = train.main,
    ) -> None:
        """quick: to name each other, and to leave without one that hangs."""
        port = free_port()
        folder.mkdir(parents=True)
        self.logs = [folder / f"{rank}.log" for rank in range(size)]
        self.processes = forks(
            _rank,
            [
                (rank, size, port, words, log, mishap, quick, main)
                for rank, log in enumerate(self.logs)
            ],
        )

    def send(self, rank: int, number: signal.Signals) -> None:
        os.kill(self.processes[rank].pid, number)

    def wake(self, rank: int) -> None:
        """Let a rank that has stopped itself go on; one that is waited for may still be on its way
        there."""
        status, end = Path(f"/proc/{self.processes[rank].pid}/stat"), time.monotonic() + PATIENCE
        while status.read_text().rpartition(") ")[2][0] != "T" and time.monotonic() < end:
            time.sleep(0.05)
        self.send(rank, signal.SIGCONT)

    def wait_for(self, rank: int, words: str) -> str:
        """Wait until a rank has said this, and return all that it has said."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            text = self.logs[rank].read_text() if self.logs[rank].exists() else ""
            if words in text:
                return text
            time.sleep(0.05)
        raise AssertionError(f"rank {rank} did not say {words!r}, but: {text}")

    def code(self, rank: int) -> int | None:
        """Return the exit code of a rank, once it has ended."""
        self.processes[rank].join(PATIENCE)
        return self.processes[rank].exitcode


@contextmanager
def ranks(
    words: list[str], folder: Path, mishap: Mishap | None = None, size: int = 2, **how: Any
) -> Iterator[Ranks]:
    """Start ranks; how: further words of `Ranks`."""
    started = Ranks(words, folder, mishap, size, **how)
    try:
        yield started
    finally:
        for process in started.processes:
            process.kill()
            process.join()


def run(
    words: list[str],
    folder: Path,
    size: int = 2,
    mishap: Mishap | None = None,
    main: Main = train.main,
) -> list[Ended]:
    """Run ranks to their ends, and return how each ended and all that it said."""
    with ranks(words, folder, mishap, size, quick=False, main=main) as started:
        for process in started.processes:
            process.join(LONG)
        return [
            Ended(process.exitcode, "", log.read_text() if log.exists() else "")
            for process, log in zip(started.processes, started.logs, strict=True)
        ]


def _rank(
    rank: int,
    size: int,
    port: int,
    words: list[str],
    log: Path,
    mishap: Mishap | None,
    quick: bool,
    main: Main,
) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for number in SIGNALS:  # whatever the process ignores that began the server of forks
        signal.signal(number, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    undraw()
    for name in PLACE:
        os.environ.pop(name, None)
    place = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    if size > 1:
        os.environ.update({name: str(value) for name, value in place.items()})
    if quick:
        waiting.NAME_SECONDS, waiting.LEAVE_SECONDS, waiting.PENDING_SECONDS = 1.0, 2.0, 0.5
        world.QUIET_SECONDS, roster.LOOK_SECONDS = 0.2, 0.2
    if mishap is not None:
        name, where, round_index = mishap
        arrange(MISHAPS[name], where, round_index)
        if round_index < 0 and rank == where:
            rounds.zero_shot = _before_zero_shot(MISHAPS[name])
    command.leave(main(words))


def _before_zero_shot(mishap: Callable[[], None]) -> Callable[..., object]:
    def mishap_first(*words: object) -> object:
        mishap()
        return zero_shot(*words)

    return mishap_first
