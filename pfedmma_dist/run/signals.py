"""Stop on request: the first signal lets the round finish and be saved, the second ends at once.

The end of the torchrun that started a rank is a request too: nobody is left to look after it.
"""

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from pfedmma_dist.stopped import STOPPED, Stopped

__all__ = ["SIGNALS", "STOPPED", "StopSignal"]

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP)

ECHO_SECONDS = 2.0
"""A signal this soon after the first is its echo: on Ctrl-C torchrun passes on what the terminal
has already sent to every process."""


LEAVE_SECONDS = 20.0
"""What is under way may come to its end for so long after a signal: Slurm and torchrun both kill
30 s after they have asked."""

TORCHRUN = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE")
"""All set where torchrun is our parent; a part of them is what it leaves in a shell. Not asked of
world/, which loads torch: launch/ does without."""

STDERR = 2

SHOW_CURSOR = b"\x1b[?25h"
"""Progress bars hide it, and an exit at once leaves them no time to bring it back."""


class StopSignal:
    """Remembers that this process was asked to stop; owns the stop signals inside its `with`."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.patient = False
        self._before: dict[int, Any] = {}
        # Who starts a rank by other means (nohup, srun, a shell) may end before it.
        self._torchrun = os.getppid() if all(map(os.environ.get, TORCHRUN)) else None

    def __enter__(self) -> "StopSignal":
        for number in SIGNALS:
            ignored = signal.getsignal(number) is signal.SIG_IGN
            if not (number == signal.SIGHUP and ignored):  # nohup means it
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait_for_round(self) -> None:
        """From now on a first signal is remembered instead of obeyed at once."""
        self.patient = True

    def asked(self) -> float | None:
        """Return the time of the request to stop, on the clock of `time.monotonic`."""
        if self.asked_at is None and self._torchrun not in (None, os.getppid()):
            self.asked_at = time.monotonic()
            log.warning("torchrun, process %d, has ended without its ranks", self._torchrun)
            self._begin()
        return self.asked_at

    def hurry(self, words: str) -> None:
        """Raise Stopped where a request to stop is LEAVE_SECONDS old; words: what it comes to."""
        asked_at = self.asked()
        if asked_at is not None and time.monotonic() - asked_at > LEAVE_SECONDS:
            raise Stopped(f"stopped by a signal {words}")

    def __call__(self) -> bool:
        """Say whether a stop was asked for."""
        return self.asked() is not None

    def _begin(self) -> None:
        if not self.patient:
            raise Stopped("stopped by a signal before the first round; there was nothing to save")
        _say(
            "stopping: this round will be finished and saved, or given up if that takes over "
            f"{LEAVE_SECONDS:.0f} s; a second signal ends at once"
        )

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked_at is None:
            self.asked_at = now
            self._begin()
        elif now - self.asked_at > ECHO_SECONDS:
            if os.isatty(STDERR):
                os.write(STDERR, SHOW_CURSOR)
            os._exit(128 + number)


def _say(words: str) -> None:
    """Log from a thread of its own: the interrupted one may be in the middle of a log line."""
    threading.Thread(target=log.info, args=(words,)).start()
