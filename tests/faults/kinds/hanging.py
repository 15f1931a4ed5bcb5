"""A rank that hangs: it is named in time, and a stop is obeyed all the same."""

import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from pfedmma_dist.clip import cache
from pfedmma_dist.federation.federation import Federation
from tests.faults.base import Base
from tests.faults.kinds.stops import at_call
from tests.faults.place import Place, first_trace
from tests.faults.ranks import Hook, Ranks
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole

NAMED = 45.0
"""Seconds in which rank 0 must have named the rank it waits for; promised are 30."""

LEAVE = 45.0
"""Seconds in which a stop must be obeyed that cannot reach the others."""

ABOUT = re.compile(r"ranks? \[?1\b")

CALLS: dict[str, tuple[Any, str, int]] = {
    "encoding": (cache, "build", 1),
    "round": (Federation, "round", 2),
    "scoring": (Federation, "evaluate", 1),
}


def hang(phase: str) -> Hook:
    """Return a hook that stops rank 1 for good as a phase begins."""
    import os

    def hook(rank: int) -> None:
        if rank == 1:
            at_call(*CALLS[phase], lambda: os.kill(os.getpid(), signal.SIGSTOP))

    return hook


def stopped(place: Place, phase: str, ask: bool, whole: Whole) -> Iterator[Verdict]:
    """Hang rank 1; wait for rank 0 to say so, or ask rank 0 to stop; go on to the end."""
    words, name = place.words(), f"{phase}{', rank 0 asked to stop' * ask}"
    ranks = place.start(words, 2, hang(phase))
    if not until(lambda: is_stopped(ranks.processes[1]), 30):
        yield Verdict(name, Ending.FAILED, "the suite failed: rank 1 never came to hang")
        return
    if ask:
        time.sleep(1)
        ranks.send(signal.SIGTERM, 0)
        fine, problem = until(lambda: 0 not in ranks.alive(), LEAVE), f"stayed for {LEAVE:g} s"
    else:
        fine = until(lambda: names_rank_1(ranks), NAMED)
        problem = f"no word about rank 1 in {NAMED:g} s"
    ranks.send(signal.SIGKILL, 0, 1)
    ended = ranks.wait()
    if first_trace(ended):
        yield Verdict(name, Ending.TRACEBACK, first_trace(ended))
    elif not fine:
        yield Verdict(name, Ending.SILENT if not ask else Ending.FAILED, problem)
    else:
        yield place.judge(name, place.start(words, 2).wait(), whole)


def names_rank_1(ranks: Ranks) -> bool:
    """Whether rank 0 has said whom it waits for."""
    return ABOUT.search(ranks.said[0].read_text("utf-8", "replace")) is not None


def is_stopped(process: int) -> bool:
    """Whether a process of ours was stopped by a signal."""
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def until(true: Any, limit: float) -> bool:
    """Wait until something is true; return whether it was, in time."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


def trials(base: Base) -> Iterator[Trial]:
    """Yield three phases, each waited for and stopped."""
    for phase in CALLS:
        for ask in (False, True):
            play = partial(stopped, phase=phase, ask=ask, whole=base.whole(2))
            yield Trial(phase, play, 240)


KINDS = [
    Kind(
        "SIGSTOP of rank 1 while encoding, in a round, while scoring",
        "rank 0 names the rank it waits for within 45 s, and leaves within 45 s when asked to "
        "stop; then the same bits",
        trials,
        long=True,
    )
]
