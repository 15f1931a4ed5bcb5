"""Start runs of one rank by fork, from a server that has loaded torch: seconds of imports saved.

The server is multiprocessing's: a process of its own, begun with the first run, that imports, has
no thread and runs nothing. What a run does, and how it ends, stays its own.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from launch.gpus import are_there
from launch.stop import SIGNALS

TRAIN = "pfedmma_dist.train"

PRELOADED = (
    "launch.forks",
    "launch.plan",
    TRAIN,
    "open_clip",
    "matplotlib.backends.backend_agg",
    "torch.utils.tensorboard",
)
"""Modules that every run would import, for 5 s of CPU; none of them starts a thread or a GPU."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Pools that begin when their library is loaded would not survive a fork. A run sets its own
threads afterwards; torchrun, too, gives its ranks the first of these."""


def can_fork() -> bool:
    """Whether runs may be started so: CUDA does not outlive a fork, and was never tried with it."""
    return not are_there()


class Fork:
    """A run in a forked process, with the face of a `subprocess.Popen`."""

    def __init__(self, words: Sequence[str], log: Path, program: str = TRAIN) -> None:
        """words: of the program, a module with main(words) -> exit code. log: takes all that the
        run says, from the first byte."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        self._process: ForkServerProcess = context.Process(
            target=_run, args=(program, list(words), str(log)), daemon=False
        )
        with _deaf(), _one_thread():
            forkserver.ensure_running()
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, as `subprocess` counts; None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the same."""
        return self.returncode

    def terminate(self) -> None:
        """Ask the run to stop, if it is not over."""
        self._process.terminate()


def _run(program: str, words: Sequence[str], log: str) -> None:
    """Be `python -m PROGRAM`, alone in a session, with `log` for the terminal."""
    from pfedmma_dist import command
    from pfedmma_dist.world.launchers import NAMES

    module = import_module(program)

    os.setsid()  # of a Ctrl-C it hears once, from the sweep
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    for name in NAMES:  # of the launcher that the sweep itself may run under
        os.environ.pop(name, None)
    sys.argv = [str(module.__file__), *words]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    command.leave(module.main(list(words)))


@contextmanager
def _deaf() -> Iterator[None]:
    """Let what is started here not hear what stops a sweep: it has the ends of the runs to tell."""
    resource_tracker.ensure_running()  # or the server would start it, and hear again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # those of meanwhile come now


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
