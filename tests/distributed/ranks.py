"""Ranks as forks of a process that has imported everything: quick to start, and each to be told."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import pytest
from driver import MISHAPS, arrange

from pfedmma_dist import command, rounds, train
from pfedmma_dist.build import zero_shot
from pfedmma_dist.world import roster, waiting, world

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "open_clip", "torch.utils.tensorboard"])

PATIENCE = 60
"""Seconds after which a test gives up on its ranks."""


class Ranks:
    """Two ranks of one run, their words in a file each."""

    def __init__(self, words: list[str], folder: Path, mishap: tuple[str, int, int] | None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder.mkdir(parents=True)
        self.logs = [folder / f"{rank}.log" for rank in (0, 1)]
        self.processes = [
            FORKS.Process(target=_rank, args=(rank, port, words, self.logs[rank], mishap))
            for rank in (0, 1)
        ]
        with pytest.MonkeyPatch.context() as context:
            context.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for it to find us
            context.setenv("OMP_NUM_THREADS", "1")
            forkserver.ensure_running()
        for process in self.processes:
            process.start()

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
    words: list[str], folder: Path, mishap: tuple[str, int, int] | None = None
) -> Iterator[Ranks]:
    """Start two ranks, quick to name each other; mishap: what, to which rank, in which round."""
    started = Ranks(words, folder, mishap)
    try:
        yield started
    finally:
        for process in started.processes:
            process.kill()
            process.join()


def _rank(
    rank: int, port: int, words: list[str], log: Path, mishap: tuple[str, int, int] | None
) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    place = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    os.environ.pop("TORCHELASTIC_RUN_ID", None)
    waiting.NAME_SECONDS, waiting.LEAVE_SECONDS, waiting.PENDING_SECONDS = 1.0, 2.0, 0.5
    world.QUIET_SECONDS, roster.LOOK_SECONDS = 0.2, 0.2
    if mishap is not None:
        name, where, round_index = mishap
        arrange(MISHAPS[name], where, round_index)
        if round_index < 0 and rank == where:
            rounds.zero_shot = _before_zero_shot(MISHAPS[name])
    command.leave(train.main(words))


def _before_zero_shot(mishap: Callable[[], None]) -> Callable[..., object]:
    def mishap_first(*words: object) -> object:
        mishap()
        return zero_shot(*words)

    return mishap_first
