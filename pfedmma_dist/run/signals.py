"""Stop on request: the first signal lets the round finish and be saved, the second ends at once."""

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

STOPPED = 75
"""Exit code of a run that stopped on a signal, saved, and can go on: EX_TEMPFAIL, "try again"."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)

ECHO_SECONDS = 2.0
"""A signal this soon after the first is its echo: on Ctrl-C torchrun passes on what the terminal
has already sent to every process."""


STDERR = 2

SHOW_CURSOR = b"\x1b[?25h"
"""Progress bars hide it, and an exit at once leaves them no time to bring it back."""


class StopSignal:
    """Remembers that this process was asked to stop; owns the stop signals inside its `with`."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait_for_round(self) -> None:
        """From now on a first signal is remembered instead of obeyed at once."""
        self.patient = True

    def __call__(self) -> bool:
        """Say whether a stop was asked for."""
        return self.asked_at is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked_at is None:
            self.asked_at = now
            if not self.patient:
                _say("stopped by a signal before the first round; there was nothing to save")
                raise SystemExit(STOPPED)
            _say("stopping: this round will be finished and saved; a second signal ends at once")
        elif now - self.asked_at > ECHO_SECONDS:
            if os.isatty(STDERR):
                os.write(STDERR, SHOW_CURSOR)
            os._exit(128 + number)


def _say(words: str) -> None:
    """Log from a thread of its own: the interrupted one may be in the middle of a log line."""
    threading.Thread(target=log.info, args=(words,)).start()
