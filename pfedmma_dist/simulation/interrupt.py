"""Interrupt: a request to stop that reaches a simulation inside a larger program.

As a command takes it, the first signal lets the round finish and be saved. But the process belongs
to the program: no signal ends it without the program's knowledge, handlers are lent for the time of
the work alone, and outside of the main thread, where Python allows none, there are none.
"""

import signal
import threading
import time
from types import FrameType

from pfedmma_dist.run.signals import ECHO_SECONDS, StopSignal
from pfedmma_dist.stopped import Stopped


class Interrupt(StopSignal):
    """Remembers that this process was asked to stop while it worked; may be entered again, and
    within itself."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0  # of the signal
        self._depth = 0

    def __enter__(self) -> "Interrupt":
        if not self._depth and threading.current_thread() is threading.main_thread():
            super().__enter__()
        self._depth += 1
        return self

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if not self._depth:
            super().__exit__(*exception)
            self._before = {}

    def error(self, words: str) -> BaseException:
        """Return what the program is told once all is saved: Ctrl-C as Python tells it, another
        signal as an exit with the code of a stopped run."""
        return KeyboardInterrupt(words) if self.number == signal.SIGINT else Stopped(words)

    def _begin(self) -> None:
        if not self.patient and self.number == signal.SIGINT:
            raise KeyboardInterrupt("stopped before the first round; there was nothing to save")
        super()._begin()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked_at is None:
            self.number = number
            super()._handle(number, frame)
        elif self._torchrun is None or self._is_late():
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _is_late(self) -> bool:
        """Whether the first signal is so long ago that this one is not its echo by torchrun."""
        assert self.asked_at is not None
        return time.monotonic() - self.asked_at > ECHO_SECONDS
