"""Series of trials inside one start of a run: a function of the program, called on damaged files.

The program itself calls the function first, so it is given what the program gives it, whatever
that has come to be; then the series calls it again and again.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from pfedmma_dist.run.checkpoint import CheckpointError
from tests.faults.trial import Ending, Verdict
from tests.runs import alone

Call = Callable[[], Any]

MENDABLE = (ValueError, CheckpointError)
"""What `command.run` tells as an error of the user's; the rest is a traceback."""


class _Caught(BaseException):
    """Carries a call out of the run."""

    def __init__(self, call: Call) -> None:
        self.call = call


def caught(module: Any, name: str, main: Callable[[list[str]], int], words: list[str]) -> Call:
    """Start a run up to its first call of `module.name`; return that call, to be repeated."""
    original = getattr(module, name)

    def catch(*arguments: Any, **options: Any) -> Any:
        raise _Caught(lambda: original(*arguments, **options))

    setattr(module, name, catch)
    try:
        with alone():
            code = main(words)
    except _Caught as found:
        return found.call
    finally:
        setattr(module, name, original)
    raise AssertionError(f"the run ended with {code} and never called {name}")


class Ear(logging.Handler):
    """Hears the warnings of the program."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []
        speaker = logging.getLogger("pfedmma_dist")
        speaker.propagate = False
        speaker.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is said."""
        self.heard.append(record.getMessage())


def judge(
    name: str,
    call: Call,
    ear: Ear,
    equal: Callable[[Any], bool],
    excused: Callable[[Any], bool] = lambda found: False,
) -> Verdict:
    """Call and say how it ended.

    equal: whether what is returned is what the undamaged files give. excused: whether something
    else is right too, without a word.
    """
    ear.heard.clear()
    try:
        found = call()
    except MENDABLE as error:
        return Verdict(name, Ending.REFUSED, str(error)[:200])
    except Exception as error:
        return Verdict(name, Ending.TRACEBACK, repr(error)[:200])
    if equal(found):
        return Verdict(name, Ending.FELL_BACK if ear.heard else Ending.UNHARMED)
    if excused(found):
        return Verdict(name, Ending.FELL_BACK if ear.heard else Ending.UNHARMED)
    return Verdict(name, Ending.SILENT, "other content" + (", after a warning" * bool(ear.heard)))


def series(number: int, trial: Callable[[int], Verdict]) -> Iterator[Verdict]:
    """Yield the verdicts of so many trials."""
    return (trial(index) for index in range(number))
