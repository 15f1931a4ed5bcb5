"""Stop on request: the first signal lets the round finish and be saved, the second ends at once."""

import os
import signal
import time
from types import FrameType

STOPPED = 75
"""Exit code of a run that stopped on a signal, saved, and can go on: EX_TEMPFAIL, "try again"."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)

ECHO_SECONDS = 2.0
"""A signal this soon after the first is its echo: on Ctrl-C torchrun passes on what the terminal
has already sent to every process."""


class StopSignal:
    """Remembers that this process was asked to stop."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.patient = False

    def install(self) -> None:
        """Take over the stop signals; until `wait_for_round` there is nothing to save."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def wait_for_round(self) -> None:
        """From now on a first signal is remembered instead of obeyed at once."""
        self.patient = True

    def __call__(self) -> bool:
        """Say whether a stop was asked for."""
        return self.asked_at is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.patient:
            raise SystemExit(STOPPED)
        now = time.monotonic()
        if self.asked_at is None:
            self.asked_at = now
        elif now - self.asked_at > ECHO_SECONDS:
            os._exit(128 + number)
