"""Ending: how a command ends that Ctrl-C cuts short, or whose reader has left, as in `| head`."""

import os
import signal
import sys
from collections.abc import Callable

READER_LEFT = 128 + signal.SIGPIPE
"""Exit code where nobody reads any more what a command prints."""


def at_once() -> None:
    """Let Ctrl-C end this process without a word, while it imports and has nothing to lose."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # unless it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(main: Callable[[], int]) -> int:
    """Run a command and return its exit code: that of the signal where Ctrl-C or a closed pipe has
    ended it, with no traceback."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()  # here, and not where nobody could catch what comes of it
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        return READER_LEFT
