"""A kill at every file operation: before each of them, and half-way through each write."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.faults.base import Base
from tests.faults.operations import OTHERWISE, Operation, kill_at, log_to, read_log, watch
from tests.faults.place import SHARED_MEMORY, Place
from tests.faults.ranks import Hook
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole

CHANGES = {"federation__rounds": 3, "clip__cache": "disk"}
PHASES = (OTHERWISE, "encoding", "saving", "pruning", "finishing")


def hook(place: Path, number: int, helper: bool, half: bool, victim: int) -> Hook:
    """Return what kills a rank at one of its operations below `place`."""

    def arrange(rank: int) -> None:
        if rank == victim:
            watch([place, SHARED_MEMORY], kill_at(number, helper, half))

    return arrange


def listed(base: Base, size: int, victim: int) -> list[Operation]:
    """Return the operations of one rank of an undisturbed run."""
    place = base.place(f"operations-{size}-{victim}")
    log = base.path / f"operations-{size}-{victim}.txt"

    def arrange(rank: int) -> None:
        if rank == victim:
            watch([place.path, SHARED_MEMORY], log_to(log))

    ended = place.start(place.words(**CHANGES), size, arrange, drawn=not base.quick).wait()
    assert not any(end.code for end in ended), ended
    return read_log(log)


def kill(
    place: Place,
    number: int,
    half: bool,
    operation: Operation,
    size: int,
    victim: int,
    whole: Whole,
    drawn: bool,
) -> Iterator[Verdict]:
    """Kill a rank there, and go on to the end."""
    words = place.words(**CHANGES)
    arrange = hook(place.path, number, operation.helper, half, victim)
    before = place.start(words, size, arrange, drawn=drawn).wait()
    name = f"{operation.what} {Path(operation.path).name}" + (", half-way" if half else "")
    if before[victim].code != -9:
        yield Verdict(name, Ending.FAILED, "the suite failed: this operation was not met again")
        return
    yield place.judge(name, place.start(words, size).wait(), whole, before=before)


def may_tear(operation: Operation) -> bool:
    """Whether half of an operation is a state of its own: a picture is one under its last name."""
    return operation.what == "write" and not operation.path.endswith((".png", "log.txt"))


def trials(base: Base, phase: str, size: int = 1, victim: int = 0) -> Iterator[Trial]:
    """Yield a trial, or two, for every operation of a phase."""
    whole, counts = base.whole(size, **CHANGES), [0, 0]
    found = 0
    for operation in operations(base, size, victim):
        counts[operation.helper] += 1
        if operation.phase != phase:
            continue
        found += 1
        for half in (False, True) if may_tear(operation) else (False,):
            play = partial(
                kill, number=counts[operation.helper], half=half, operation=operation,
                size=size, victim=victim, whole=whole, drawn=not base.quick,
            )  # fmt: skip
            yield Trial(f"{operation.what} {operation.path}", play)
    assert found, f"no file operation was seen while {phase}: functions have other names now"


def operations(base: Base, size: int, victim: int) -> list[Operation]:
    """Return the operations of one rank, listed once."""
    log = base.path / f"operations-{size}-{victim}.txt"
    return read_log(log) if log.exists() else listed(base, size, victim)


def of(phase: str, **whom: int) -> Callable[[Base], Iterator[Trial]]:
    """Return the trials of a phase as `Kind` wants them."""
    return lambda base: trials(base, phase, **whom)


KINDS = [
    *(
        Kind(
            f"SIGKILL at every file operation: {phase}",
            "before each open, write, fsync, rename, removal, and half-way through each write",
            of(phase),
        )
        for phase in PHASES
    ),
    Kind(
        "SIGKILL of rank 1 of 2 at every file operation of its saves",
        "rank 0 must leave, and the same command go on",
        of("saving", size=2, victim=1),
    ),
]
