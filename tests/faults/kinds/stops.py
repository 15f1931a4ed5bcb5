"""Signals in every phase of a run: once or twice, to one rank of two or to both."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pfedmma_dist.clip import cache
from pfedmma_dist.data.sets import registry
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run import checkpoint
from pfedmma_dist.run.report import Report
from pfedmma_dist.run.signals import STOPPED
from tests.faults.base import Base
from tests.faults.place import Place, first_trace
from tests.faults.ranks import Hook
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP)
AGAIN = 2.4
"""Seconds until the second signal: one that comes sooner is taken for the first one's echo."""

CALLS: dict[str, tuple[Any, str, int]] = {
    "reading data": (registry, "read", 0),
    "encoding": (cache, "build", 0),
    "round": (Federation, "round", 1),
    "scoring": (Federation, "evaluate", 1),
    "saving": (checkpoint, "save", 1),
    "finishing": (Report, "finish", 0),
}
"""Phase -> the call that begins it: where the function is, its name, the call from 0."""

IMPORT, WAITING = "import", "waiting at a collective"
PHASES = (IMPORT, *CALLS, WAITING)


def interrupt(phase: str, number: int, ranks: tuple[int, ...], twice: bool) -> Hook:
    """Return a hook that sends these ranks a signal as a phase begins."""

    def send() -> None:
        os.kill(os.getpid(), number)
        if twice:
            second = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
            second.daemon = True
            second.start()
            nap(AGAIN + 1)

    def hook(rank: int) -> None:
        if phase == IMPORT:
            if rank in ranks:
                send()
        elif phase == WAITING:
            wait_in_round(rank, ranks, number, twice)
        elif rank in ranks:
            place, name, call = CALLS[phase]
            at_call(place, name, call, send)

    return hook


def at_call(place: Any, name: str, call: int, action: Callable[[], None]) -> None:
    """Do something before the call of this number."""
    original, calls = getattr(place, name), iter(range(call + 1))

    def interrupted(*words: Any, **options: Any) -> Any:
        if next(calls, None) == call:
            action()
        return original(*words, **options)

    setattr(place, name, interrupted)


def wait_in_round(rank: int, ranks: tuple[int, ...], number: int, twice: bool) -> None:
    """Let rank 1 come late to the collective of round 1, and signal while rank 0 waits there."""
    late = 1.0 + 2 * AGAIN * twice

    def arrange() -> None:
        for delay in (0.5, 0.5 + AGAIN) if twice else (0.5,):
            if rank in ranks:
                timer = threading.Timer(delay, os.kill, (os.getpid(), number))
                timer.daemon = True
                timer.start()
        if rank == 1:
            nap(late)

    at_call(Federation, "round", 1, arrange)


def nap(seconds: float) -> None:
    """Sleep, whatever signals come."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)


def stop(
    place: Place, phase: str, number: int, ranks: tuple[int, ...], twice: bool, whole: Whole
) -> Iterator[Verdict]:
    """Signal, look at the exit codes, and go on to the end."""
    words = place.words()
    before = place.start(words, 2, interrupt(phase, number, ranks, twice)).wait()
    who = "both ranks" if len(ranks) == 2 else f"rank {ranks[0]}"
    name = f"{signal.Signals(number).name} to {who}, {phase}{', twice' * twice}"
    trace = first_trace(before)
    codes = [end.code for end in before]
    if trace and phase != IMPORT:  # there it is Python that tells of a KeyboardInterrupt
        yield Verdict(name, Ending.TRACEBACK, trace)
        return
    problem = wrong(codes, phase, number, ranks, twice)
    if problem:
        yield Verdict(name, Ending.FAILED, problem)
        return
    verdict = place.judge(name, place.start(words, 2).wait(), whole)
    yield verdict


def wrong(codes: list[int], phase: str, number: int, ranks: tuple[int, ...], twice: bool) -> str:
    """Say what is wrong with exit codes; nothing is where they are as promised."""
    at_once = {-number, 128 + number}  # nobody listens yet, or asked twice
    if 124 in codes:
        return f"exit codes {codes}: a rank had to be killed"
    if phase == IMPORT:
        return ""  # before any of our code runs; what is lost is nothing
    if twice:
        fine = all(code in {STOPPED, 0, 1} | at_once for code in codes)
        return "" if fine else f"exit codes {codes}"
    agreed = len(set(codes)) == 1
    allowed = {STOPPED, 0} if phase == "finishing" else {STOPPED}
    return "" if agreed and codes[0] in allowed else f"exit codes {codes}"


def trials(base: Base) -> Iterator[Trial]:
    """Yield every phase with every signal: to one rank and to both in turn, SIGTERM also twice."""
    whole = base.whole(2)
    for row, phase in enumerate(PHASES):
        for column, number in enumerate(SIGNALS):
            whom = ((0,), (1,), (0, 1))[(row + column) % 3]
            # Of ranks that have not met yet torchrun, or srun, ends the others.
            whom = (0, 1) if phase == IMPORT else whom
            yield _trial(phase, number, whom, False, whole)
        yield _trial(phase, signal.SIGTERM, (0, 1), True, whole)


def _trial(phase: str, number: int, ranks: tuple[int, ...], twice: bool, whole: Whole) -> Trial:
    play = partial(stop, phase=phase, number=number, ranks=ranks, twice=twice, whole=whole)
    return Trial(f"{phase}, {number}", play)


KINDS = [
    Kind(
        "signals in 8 phases: SIGTERM, SIGINT, SIGUSR2, SIGHUP, to one rank of 2 or both, twice",
        "import, reading, encoding, round, scoring, saving, finishing, waiting at a collective; "
        "one agreed exit code (75; 0 where the run finishes first), then the same bits. During the "
        "import nothing of ours runs yet, and only the next start is judged",
        trials,
        sample=2,
    )
]
