"""Ranks of a run, forked from a process that has imported everything once; each ends by its id."""

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pfedmma_dist import train
from tests.runs import PLACE, Ended, undraw

Hook = Callable[[int], None]
"""What is done in a rank before it starts; given the rank."""

STEP = 0.02
"""Seconds between two looks at whether something has ended."""


class Ranks:
    """The processes of one start of a command."""

    def __init__(
        self,
        folder: Path,
        words: list[str],
        size: int = 1,
        hook: Hook | None = None,
        main: Callable[[list[str]], int] = train.main,
        drawn: bool = False,
    ) -> None:
        """folder: for what the ranks say. drawn: whether pictures are more than blank files, which
        takes as long as all the rest of a run."""
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        number = len(list(folder.glob("said-*-0.txt")))
        self.said = [folder / f"said-{number}-{rank}.txt" for rank in range(size)]
        self.codes: list[int | None] = [None] * size
        self.processes: list[int] = []
        sys.stdout.flush()
        sys.stderr.flush()
        for rank in range(size):
            process = os.fork()
            if process == 0:
                if not drawn:
                    undraw()
                _be_rank(rank, size, port, self.said[rank], words, hook, main)
            self.processes.append(process)

    def alive(self) -> list[int]:
        """Return the ranks that have not ended."""
        for rank, code in enumerate(self.codes):
            if code is None:
                process, status = os.waitpid(self.processes[rank], os.WNOHANG)
                if process:
                    self.codes[rank] = os.waitstatus_to_exitcode(status)
        return [rank for rank, code in enumerate(self.codes) if code is None]

    def send(self, number: int, *ranks: int) -> int:
        """Send a signal to those of the ranks that live; return to how many."""
        hit = [rank for rank in ranks if rank in self.alive()]
        for rank in hit:
            os.kill(self.processes[rank], number)
        return len(hit)

    def wait(self, limit: float = 60.0) -> list[Ended]:
        """Return how the ranks ended; those that are not out by then are killed: code 124."""
        until = time.monotonic() + limit
        while self.alive() and time.monotonic() < until:
            time.sleep(STEP)
        late = self.alive()
        self.send(signal.SIGKILL, *late)
        while self.alive():
            time.sleep(STEP)
        codes = [124 if rank in late else code for rank, code in enumerate(self.codes)]
        return [
            Ended(code or 0, "", said.read_text("utf-8", "replace") if said.exists() else "")
            for code, said in zip(codes, self.said, strict=True)
        ]


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _be_rank(
    rank: int,
    size: int,
    port: int,
    said: Path,
    words: list[str],
    hook: Hook | None,
    main: Callable[[list[str]], int],
) -> None:
    """Be the rank, from here to the end of the process."""
    code = 1
    try:
        redirect(said)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for name in PLACE:
            os.environ.pop(name, None)
        if size > 1:
            os.environ |= {
                "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            }  # fmt: skip
        if hook is not None:
            hook(rank)
        code = main(words)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # as Python does for a process of its own
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def redirect(said: Path) -> None:
    """Send all that this process says into a file."""
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
