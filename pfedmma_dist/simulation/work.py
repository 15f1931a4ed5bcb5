"""Work: what a simulation takes of its process while it computes, and gives back in between.

Signals, log lines and torch's settings are the program's; a simulation borrows them.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import SAME_EVERYWHERE, handlers_of
from pfedmma_dist.simulation.interrupt import Interrupt
from pfedmma_dist.world import World, as_it_was

log = logging.getLogger(__name__)

OURS = "pfedmma_dist"
"""The logger that a simulation speaks through."""

BUSY = threading.Lock()
"""Held by whoever computes: torch's settings are those of the whole process."""


class Voice:
    """What a simulation says: on standard error, unless it is quiet, and into log.txt."""

    def __init__(self, world: World, *, quiet: bool = False) -> None:
        self.world, self.quiet = world, quiet
        self.console = Console(stderr=True, quiet=quiet)
        self.handlers = handlers_of(world, None, self.console, quiet=quiet)

    def begin(self, world: World, folder: RunFolder) -> Console:
        """Speak into the log of a run folder as well, from now on; return the console."""
        found = handlers_of(world, folder, self.console, quiet=True)
        self.handlers += found
        for handler in found:
            logging.getLogger(OURS).addHandler(handler)
        return self.console

    def close(self) -> None:
        """Close the log."""
        for handler in self.handlers:
            handler.close()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Speak within the block alone; a program's own handlers hear it, too."""
        ours = logging.getLogger(OURS)
        same = [logging.getLogger(name) for name in SAME_EVERYWHERE]
        level, goes_up, levels = ours.level, ours.propagate, [each.level for each in same]
        ours.setLevel(logging.INFO if self.world.first else logging.WARNING)
        ours.propagate = False  # open_clip gives the root logger a handler of its own
        for each in same:
            each.setLevel(logging.NOTSET if self.world.first else logging.ERROR)
        for handler in self.handlers:
            ours.addHandler(handler)
        try:
            yield
        finally:
            for handler in self.handlers:
                ours.removeHandler(handler)
            ours.setLevel(level)
            ours.propagate = goes_up
            for each, before in zip(same, levels, strict=True):
                each.setLevel(before)


def tell(voice: Voice, warnings: Iterable[str]) -> None:
    """Log these warnings on rank 0."""
    with voice.heard():
        for words in warnings if voice.world.first else ():
            log.warning("%s", words)


@contextmanager
def at_work(
    voice: Voice, stop: Interrupt, prepare: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Borrow the process for a block. prepare: sets torch as the run needs it."""
    if not BUSY.acquire(blocking=False):
        raise ValueError(
            "another simulation of this process is at work, in another thread or in the midst of a "
            "round; let them take turns, or give each a process of its own"
        )
    try:
        with as_it_was(), voice.heard(), stop:
            prepare()
            yield
    finally:
        BUSY.release()
