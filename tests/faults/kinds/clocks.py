"""Clocks that jump: between a stop and the next start, and in the middle of a run."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pfedmma_dist.federation.federation import Federation
from tests.faults.base import Base, kill_in_round
from tests.faults.kinds.stops import at_call
from tests.faults.place import Place
from tests.faults.ranks import Hook
from tests.faults.trial import Kind, Trial, Verdict
from tests.faults.whole import Whole

HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400.0
JUMPS = {
    "a second back": -1.0, "an hour back": -HOUR, "a day back": -DAY, "ten years back": -10 * YEAR,
    "to 1970": -time.time(), "an hour on": HOUR, "ten years on": 10 * YEAR,
}  # fmt: skip


def shift(seconds: float) -> None:
    """Set this process's clock of the day."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)


def jumped(place: Place, name: str, when: str, whole: Whole) -> Iterator[Verdict]:
    """Stop a run, or not, and let the clock jump."""
    words, seconds = place.words(), JUMPS[name]
    if when == "between two starts":
        place.start(words, 1, kill_in_round(2)).wait()
        ended = place.start(words, 1, lambda rank: shift(seconds)).wait()
    elif when == "in a round":
        ended = place.start(words, 1, in_round(seconds)).wait()
    else:
        place.start(words, 1, kill_in_round(2)).wait()
        for path in [place.path, *place.path.rglob("*")]:
            set_time(path, time.time() + seconds)
        ended = place.start(words).wait()
    yield place.judge(f"{name}, {when}", ended, whole)


def in_round(seconds: float) -> Hook:
    """Return a hook that lets the clock jump as round 1 begins, and back as round 2 does."""

    def hook(rank: int) -> None:
        at_call(Federation, "round", 1, lambda: shift(seconds))
        at_call(Federation, "round", 2, lambda: shift(-seconds))

    return hook


def set_time(path: Path, seconds: float) -> None:
    """Give a file a time."""
    os.utime(path, (max(0.0, seconds), max(0.0, seconds)), follow_symlinks=False)


def trials(base: Base) -> Iterator[Trial]:
    """Yield every jump at every time."""
    for when in ("between two starts", "in a round", "in the times of all files"):
        for name in JUMPS:
            yield Trial(name, partial(jumped, name=name, when=when, whole=base.whole()))


KINDS = [
    Kind(
        "clocks that jump by a second to ten years, back and on, and to 1970",
        "between a stop and the next start, in the middle of a run, and in the times of all its "
        "files; the same bits, and nothing twice in TensorBoard",
        trials,
    )
]
