"""Wait for other ranks: name those that do not come, hear a stop signal meanwhile, end at last."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Protocol, TypeVar

from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world.roster import Roster, Watch

log = logging.getLogger(__name__)

T = TypeVar("T")

NAME_SECONDS = 10.0
"""Ranks that others wait for are named after this, or after 5 times the last round."""

LEAVE_SECONDS = 20.0
"""What a rank that was asked to stop grants the others, or twice what a round takes. Slurm and
torchrun both kill 30 s after they have asked."""

PAUSE_SECONDS = 0.02
"""Between two looks at what a thread does."""

QUIET_SECONDS = 1.0
"""Most sums need no longer, and no watch."""

PENDING_SECONDS = 5.0
"""After this a stop that waits for other ranks says so."""

SLICE = timedelta(seconds=0.1)
"""Python hears signals so often during a sum."""


class RankLost(RuntimeError):
    """Say that a collective failed or was given up, as another rank has gone or does not come."""


class Work(Protocol):
    """A sum under way, as `dist.all_reduce` returns it."""

    def is_completed(self) -> bool:
        """Say whether it is over, well or not."""
        ...

    def wait(self, timeout: timedelta) -> bool:
        """Wait, and raise what went wrong; a limit that has passed leaves gloo's work whole."""
        ...


class Vigil:
    """Paces one wait: tells at growing intervals who is missing, and gives up after `patience`."""

    def __init__(self, patience: float, first: float, remedy: str, advises: bool = False) -> None:
        """first: seconds until the first telling. remedy: what to do when all is given up.

        advises: say that at once, where a wait is more likely in vain than not.
        """
        self.patience, self.remedy, self.advises = patience, remedy, advises
        self.began = time.monotonic()
        self._next, self._told = first, False

    def check(self, missing: Callable[[], str], speaks: Callable[[], bool] = lambda: True) -> None:
        """Tell who is missing where it is time to; RankLost where patience has ended."""
        waited = time.monotonic() - self.began
        if waited > self.patience:
            raise RankLost(f"gave up on {missing()} after {waited:.0f} s; {self.remedy}")
        if waited > self._next:
            self._next = 2 * waited
            if speaks():
                self._told = True
                log.warning(
                    "waiting for %s, for %.0f s so far; gives up after %.0f s%s",
                    missing(), waited, self.patience, f"; {self.remedy}" if self.advises else "",
                )  # fmt: skip

    def end(self) -> None:
        """Say that the wait is over, if it was told of."""
        if self._told:
            log.warning("all ranks have come, after %.0f s", time.monotonic() - self.began)


def doze(work: Work, seconds: float) -> None:
    """Wait for `work`, but no longer than this. Its errors are left for the last `wait`."""
    began = time.monotonic()
    while not work.is_completed() and time.monotonic() - began < seconds:
        with suppress(RuntimeError):
            work.wait(SLICE)


def wait_for_ranks(
    work: Work,
    roster: Roster,
    asked_to_stop: Callable[[], float | None],
    patience: float,
    round_seconds: float,
) -> None:
    """Wait for a sum that others have not come to yet.

    asked_to_stop: when this process was. round_seconds: of the last round. Stopped where a stop
    signal here cannot wait for the others, or another rank could not; RankLost after `patience`.
    """
    vigil = Vigil(
        patience,
        max(NAME_SECONDS, 5 * round_seconds),
        "find out what holds them, then start the same command again, which goes on from the last "
        "checkpoint; run.patience sets the limit",
    )
    own_seconds = vigil.began - roster.entered  # for this rank's part of what is under way
    grace = max(LEAVE_SECONDS, 2 * round_seconds, 2 * own_seconds)
    roster.tell()
    watch, pending = Watch(roster), False
    try:
        while not work.is_completed():
            doze(work, SLICE.total_seconds())
            if watch.leaving is not None:
                raise Stopped(f"stopped by a signal to rank {watch.leaving}, which has left")
            asked_at = asked_to_stop()
            if asked_at is not None:
                left = max(asked_at, vigil.began) + grace - time.monotonic()
                if left < 0:
                    raise Stopped(
                        f"stopped by a signal without saving, as {watch.missing()} did not come "
                        f"within {grace:.0f} s"
                    )
                if not pending and left < grace - PENDING_SECONDS:
                    pending = True
                    log.warning(
                        "asked to stop, but %s must come first; in %.0f s this rank leaves "
                        "without saving",
                        watch.missing(), left,
                    )  # fmt: skip
            vigil.check(watch.missing, watch.speaks)
    finally:
        watch.end()
    vigil.end()


def watched(action: Callable[[], T], vigil: Vigil, missing: Callable[[], str]) -> T:
    """Return what an action returns that hangs where a stranger listens at the port.

    torch's client knows no limit for the first answer, and hears no signal meanwhile.
    """
    under_way: Future[T] = Future()

    def act() -> None:
        try:
            under_way.set_result(action())
        except (RuntimeError, OSError, ValueError) as error:  # raised again by who waits
            under_way.set_exception(error)
        finally:  # else that one would wait for ever
            if not under_way.done():
                under_way.set_exception(RuntimeError("it ended without an answer"))

    threading.Thread(target=act, daemon=True).start()
    while not under_way.done():
        vigil.check(missing)
        time.sleep(PAUSE_SECONDS)
    return under_way.result()


@contextmanager
def told_meanwhile(words: str) -> Iterator[None]:
    """Say at growing intervals what is being waited for inside, where nothing can be looked at."""
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        pause = NAME_SECONDS
        while not over.wait(pause):
            pause = time.monotonic() - began
            log.warning("%s, for %.0f s so far", words, pause)

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        over.set()
