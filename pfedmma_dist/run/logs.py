"""Send log lines to people: rank 0 to the terminal and log.txt, other ranks warnings only.

log.txt is made once there is something to keep, with all lines so far.
"""

import contextlib
import logging
import sys
import threading
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.notebook import in_notebook
from pfedmma_dist.spelling import spelled
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

SPEAKERS = ("pfedmma_dist", "__main__", "py.warnings")
"""Loggers we speak through; the root logger stays with whoever embeds us."""

SAME_EVERYWHERE = (
    "pfedmma_dist.build",
    "pfedmma_dist.data",
    "pfedmma_dist.clip.load",
    "pfedmma_dist.clip.weights",
    "pfedmma_dist.clip.fit",
)
"""Loggers whose warnings are the same on every rank, and so rank 0's to speak."""

PLAIN = "%(asctime)s %(levelname)s %(message)s"


def configure_logging(world: World, folder: RunFolder | None) -> Console:
    """Set up logging and return the console on standard error, which `Progress` must share.

    folder: a claimed run folder, or None for a command that has none; its log waits for
    `begin_log`. May be called again.
    """
    console = Console(stderr=True)
    handlers = handlers_of(world, folder, console)
    logging.captureWarnings(True)
    threading.excepthook = _tell_of_thread
    for name in SPEAKERS:
        speaker = logging.getLogger(name)
        for old in speaker.handlers[:]:
            speaker.removeHandler(old)
            old.close()
        speaker.setLevel(logging.INFO if world.first else logging.WARNING)
        speaker.propagate = False  # open_clip gives the root logger a handler of its own
        for handler in handlers:
            speaker.addHandler(handler)
    for name in SAME_EVERYWHERE:
        logging.getLogger(name).setLevel(logging.NOTSET if world.first else logging.ERROR)
    return console


def handlers_of(
    world: World, folder: RunFolder | None, console: Console, *, quiet: bool = False
) -> list[logging.Handler]:
    """Return what writes our lines: to the terminal, unless it is to be quiet, and to log.txt."""
    found: list[logging.Handler] = []
    if world.first and interactive() and not quiet:
        found.append(
            RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S", markup=False)
        )
    elif not quiet:
        found.append(logging.StreamHandler(sys.stderr))
        if in_notebook():  # a line a round is too much there: bars show them, and log.txt has all
            found[0].setLevel(logging.WARNING)
        prefix = "" if world.first else f"[rank {world.rank}] "
        found[0].setFormatter(logging.Formatter(prefix + PLAIN))
    if world.first and folder is not None:
        found.append(_LogFile(folder.log))
        found[-1].setFormatter(logging.Formatter(PLAIN))
    for handler in found:
        handler.addFilter(_spell)
    return found


def begin_log() -> None:
    """Write the lines so far to log.txt, and those to come; OSError where that cannot be."""
    for handler in _log_files():
        handler.begin()


def drop_log() -> None:
    """Let go of log.txt, which may then be removed."""
    for handler in _log_files():
        for name in SPEAKERS:
            logging.getLogger(name).removeHandler(handler)
        handler.close()


def _log_files() -> "list[_LogFile]":
    handlers = logging.getLogger(SPEAKERS[0]).handlers
    return [handler for handler in handlers if isinstance(handler, _LogFile)]


class _LogFile(logging.FileHandler):
    """A log file that waits until its run has begun.

    A full disk leaves it incomplete; the run itself fails where it must save.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.waiting: list[logging.LogRecord] | None = []  # None: they are written at once

    def begin(self) -> None:
        """Open the file and write what has waited."""
        assert self.lock is not None
        with self.lock:
            records, self.waiting = self.waiting or [], None
            if self.stream is None:
                self.stream = self._open()
            for record in records:
                super().emit(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or keep it until there is a file."""
        if self.waiting is None:
            super().emit(record)
        else:
            self.waiting.append(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Stay silent, where logging would print a traceback for every line."""

    def close(self) -> None:
        """Close the file, whatever becomes of the lines that found no room."""
        with contextlib.suppress(OSError):
            super().close()


def _spell(record: logging.LogRecord) -> bool:
    """Write out the control characters that the name of a file may bring into a line."""
    record.msg, record.args = spelled(record.getMessage()), None
    return True


def _tell_of_thread(end: threading.ExceptHookArgs) -> None:
    """Log how a thread ended: in one line where its disk is full, as TensorBoard's may be."""
    mendable = isinstance(end.exc_value, OSError)
    trace = None if mendable else end.exc_value
    level = logging.WARNING if mendable else logging.ERROR
    log.log(level, "a helper thread stopped: %s", end.exc_value, exc_info=trace)


def interactive() -> bool:
    """Return whether a person watches standard error.

    Asked of the stream, not of rich: rich takes FORCE_COLOR, which CI systems set, for a terminal.
    """
    return sys.stderr.isatty()
