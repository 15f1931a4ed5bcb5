"""Disks that fill up: under each folder, under single files, injected and real."""

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from safetensors import SafetensorError

from tests.faults.base import Base
from tests.faults.operations import Operation, watch
from tests.faults.place import SHARED_MEMORY, Place, mount
from tests.faults.ranks import Hook
from tests.faults.trial import Kind, Trial, Verdict
from tests.faults.whole import Whole

TAKES_ROOM = ("write", "open", "mkdir", "fallocate", "fsync")

DISK, MEMORY = {"clip__cache": "disk"}, {"clip__cache": "ram"}
UNDER: dict[str, tuple[str, dict[str, str]]] = {
    "the run folder": ("/run/", {}),
    "the checkpoints": ("/run/checkpoints/", {}),
    "metrics.csv": ("metrics.csv", {}),
    "TensorBoard": ("tfevents", {}),
    "the log": ("log.txt", {}),
    "the figures": ("/figures/", {}),
    "clients.csv": ("clients.csv", {}),
    "result.json": ("result.json", {}),
    "the cache folder": ("/cache/", DISK),
    "/dev/shm": ("/dev/shm/", MEMORY),
}
"""What is full -> (part of its paths, changes of the run)."""

ONSETS = (0, 1, 5)
"""How many operations there find room before none does; a file that has fewer is never full."""

SIZES = {"run": (60, 200, 500, 900, 1400), "cache": (40, 120, 300), "shm": (32, 128)}
"""KiB of real small file systems, by what lies there."""


def full(part: str, onset: int, met: Path) -> Hook:
    """Return a hook that lets no more than `onset` operations on such paths find room."""

    def hook(rank: int) -> None:
        left = iter(range(onset))

        def meet(operation: Operation, half: Callable[[], None] | None) -> None:
            if part not in f"{operation.path}/" or operation.what not in TAKES_ROOM:
                return
            if next(left, None) is None:
                met.touch()
                text = os.strerror(errno.ENOSPC)
                if operation.path.endswith(".safetensors"):
                    raise SafetensorError(f"I/O error: {text} (os error {errno.ENOSPC})")
                raise OSError(errno.ENOSPC, text, operation.path)

        watch([met.parent, SHARED_MEMORY], meet)

    return hook


def injected(place: Place, what: str, onset: int, size: int, whole: Whole) -> Iterator[Verdict]:
    """Train on a disk that fills up, then with room; nothing may be lost but time."""
    part, changes = UNDER[what]
    words, met = place.words(**changes), place.path / "met"
    first = place.start(words, size, full(part, onset, met), drawn=True).wait()
    if not met.exists():
        return  # never full, so nothing was tried
    name = f"{what}, from operation {onset}, {size} ranks"
    yield from then_with_room(place, name, first, words, size, whole)


def real(place: Place, where: str, size: int, whole: Whole) -> Iterator[Verdict]:
    """Train on a small file system of its own, then on one with room."""
    target = SHARED_MEMORY if where == "shm" else place.path / where
    target.mkdir(exist_ok=True)
    assert mount(target, f"{size}k", again=where == "shm")
    words = place.words(**{"run": {}, "cache": DISK, "shm": MEMORY}[where])
    first = place.start(words, drawn=True).wait()
    assert mount(target, "64m", again=True)
    yield from then_with_room(place, f"{where}, {size} KiB", first, words, 1, whole)


def then_with_room(
    place: Place, name: str, first: list, words: list[str], size: int, whole: Whole
) -> Iterator[Verdict]:
    """Judge a start without room, and, where it survived, the next one."""
    verdict = place.judge(name, first, whole, may_refuse=True)
    if verdict.ending.survived and first[0].code:
        verdict = place.judge(name, place.start(words, size).wait(), whole)
    yield verdict


def injections(base: Base) -> Iterator[Trial]:
    """Yield each part at each onset, on one rank and on two in turn."""
    wholes = {size: base.whole(size) for size in (1, 2)}
    for number, what in enumerate(UNDER):
        for onset in ONSETS:
            size = 1 + (number + onset) % 2
            play = partial(injected, what=what, onset=onset, size=size, whole=wholes[size])
            yield Trial(f"{what}, {onset}", play)


def small_disks(base: Base) -> Iterator[Trial]:
    """Yield the real ones, where this process may mount."""
    if base.private:
        for where, sizes in SIZES.items():
            for size in sizes:
                play = partial(real, where=where, size=size, whole=base.whole())
                yield Trial(f"{where}, {size} KiB", play)


KINDS = [
    Kind(
        "disk full, injected: run folder, checkpoints, tables, TensorBoard, log, figures, cache",
        "ENOSPC from the first, second or sixth operation on; refused by name, or finished with a "
        "warning where only something optional was lost; with room again the same bits",
        injections,
    ),
    Kind(
        "disk full, real file systems of 32 KiB to 1.4 MiB",
        "under the run folder, the cache folder and /dev/shm; the same. Needs root, without which "
        "nothing is tried",
        small_disks,
    ),
]
