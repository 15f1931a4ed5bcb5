"""A process of its own that is killed at a chosen call."""

import os
import signal
from collections.abc import Callable, Iterable


def killed(place: int, work: Callable[[], object], calls: Iterable[tuple[object, str]]) -> int:
    """Run `work` and kill it: before the n-th of all `calls` if place is 2n, after it if 2n + 1.

    Return the signal that ended it, 0 where there were fewer calls.
    """
    child = os.fork()
    if not child:
        try:
            count = 0

            def deadly(real: Callable[..., object]) -> Callable[..., object]:
                def call(*words: object, **named: object) -> object:
                    nonlocal count
                    count += 1
                    number = count
                    if 2 * number == place:
                        os.kill(os.getpid(), signal.SIGKILL)
                    try:
                        return real(*words, **named)
                    finally:
                        if 2 * number + 1 == place:
                            os.kill(os.getpid(), signal.SIGKILL)

                return call

            for owner, name in calls:
                setattr(owner, name, deadly(getattr(owner, name)))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status)
