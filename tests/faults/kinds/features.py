"""Damage to the feature cache on disk, at random and chosen, found by the next run."""

import logging
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pfedmma_dist import train
from pfedmma_dist.clip import cache
from tests.faults.base import Base
from tests.faults.inside import Ear, caught, judge
from tests.faults.mutations import mutate
from tests.faults.place import Place
from tests.faults.trial import Kind, Trial, Verdict
from tests.faults.whole import Whole

DISK = {"clip__cache": "disk"}
SERIES, BUILDS = 4, 60


def builds(place: Place, seed: int, number: int, kept: Path) -> Iterator[Verdict]:
    """Damage the files of a cache again and again, and have the program look for it."""
    rng = random.Random(seed)
    place.copy(kept, "cache")
    call, ear = caught(cache, "build", train.main, place.words(**DISK)), Ear()
    logging.getLogger("pfedmma_dist").setLevel(logging.WARNING)
    wanted = {kind: table.clone() for kind, table in call().tables.items()}

    def equal(found: Any) -> bool:
        return found.tables.keys() == wanted.keys() and all(
            torch.equal(found.tables[kind], table) for kind, table in wanted.items()
        )

    for _ in range(number):
        shutil.rmtree(place.path / "cache")
        place.copy(kept, "cache")
        told = [mutate(place.path / "cache", rng) for _ in range(rng.choice((1, 1, 2)))]
        yield judge(", ".join(told), call, ear, equal)


def largest(folder: Path) -> Path:
    """Return the largest file of a cache."""
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: (p.stat().st_size, p))


def written(offset: float, content: bytes) -> Callable[[Path], object]:
    """Return a change of the largest file at this share of its length."""

    def change(folder: Path) -> None:
        file = largest(folder)
        with open(file, "r+b") as opened:
            opened.seek(int(offset * (file.stat().st_size - len(content))))
            opened.write(content)

    return change


def flipped(folder: Path) -> None:
    """Flip one bit in the middle of the largest file."""
    file = largest(folder)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def manifests(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return a change of every manifest."""
    return lambda folder: [change(file) for file in sorted(folder.glob("*/manifest.json"))]


def exchange(folder: Path) -> None:
    """Exchange the names of two caches."""
    first, second = sorted(path for path in folder.glob("features-*") if path.is_dir())[:2]
    first.rename(folder / "other")
    second.rename(first)
    (folder / "other").rename(second)


def instead(folder: Path, make: Callable[[Path], object]) -> None:
    """Put something else in the place of the largest file."""
    file = largest(folder)
    file.unlink()
    make(file)


CHOSEN: dict[str, Callable[[Path], object]] = {
    "one bit in the middle of the largest file": flipped,
    "4,000 zeros in it": written(0.5, bytes(4000)),
    "a zeroed first page": written(0.0, bytes(4096)),
    "random bytes in it": written(0.3, random.Random(0).randbytes(3000)),
    "it is truncated": lambda folder: os.truncate(largest(folder), 999),
    "it is longer": lambda folder: largest(folder).write_bytes(largest(folder).read_bytes() * 2),
    "it is empty": lambda folder: largest(folder).write_bytes(b""),
    "it is deleted": lambda folder: largest(folder).unlink(),
    "it is a folder": lambda folder: instead(folder, Path.mkdir),
    "it is a dead link": lambda folder: instead(folder, lambda file: file.symlink_to("nowhere")),
    "every file is deleted but the manifests": lambda folder: [
        file.unlink() for file in folder.glob("*/*") if file.name != "manifest.json"
    ],
    "manifests are empty": manifests(lambda file: file.write_text("")),
    "manifests are cut": manifests(lambda file: file.write_text("{")),
    "manifests are lists": manifests(lambda file: file.write_text("[]")),
    "manifests are empty objects": manifests(lambda file: file.write_text("{}")),
    "manifests name no files": manifests(lambda file: file.write_text('{"files": []}')),
    "manifests are nested": manifests(lambda file: file.write_text("[" * 100_000)),
    "manifests are folders": manifests(lambda file: (file.unlink(), file.mkdir())),
    "manifests are deleted": manifests(Path.unlink),
    "two caches have exchanged names": exchange,
    "a cache is a file": lambda folder: [
        (shutil.rmtree(path), path.touch()) for path in folder.glob("features-*") if path.is_dir()
    ],
    "rests of a killed run lie there": lambda folder: [
        shutil.copytree(path, f"{path}.elsewhere.tmp")
        for path in folder.glob("features-*") if path.is_dir()
    ],
}  # fmt: skip


def run(place: Place, name: str, kept: Path, whole: Whole) -> Iterator[Verdict]:
    """Change a cache, run with it twice: the second must not meet the damage any more."""
    place.copy(kept, "cache")
    CHOSEN[name](place.path / "cache")
    words = place.words(**DISK)
    verdict = place.judge(name, place.start(words).wait(), whole)
    if verdict.ending.survived:
        shutil.rmtree(place.run)
        again = place.judge(f"{name}, again", place.start(words).wait(), whole)
        verdict = verdict if again.ending.survived else again
    yield verdict


def kept(base: Base) -> Path:
    """Return the caches that an undisturbed run has left."""
    return base.whole(**DISK).folder.parent / "cache"


def all_builds(base: Base) -> Iterator[Trial]:
    """Yield series."""
    number = 8 if base.quick else BUILDS
    for seed in range(SERIES):
        yield Trial(f"series {seed}", partial(builds, seed=seed, number=number, kept=kept(base)))


def all_runs(base: Base) -> Iterator[Trial]:
    """Yield whole runs."""
    for name in CHOSEN:
        yield Trial(name, partial(run, name=name, kept=kept(base), whole=base.whole()))


KINDS = [
    Kind(
        "random damage to the feature cache on disk",
        "one or two of its files flipped, zeroed, cut, emptied, deleted, doubled, swapped, made a "
        "folder or a dead link; what does not match must be encoded anew",
        all_builds,
    ),
    Kind(
        "chosen damage to the feature cache on disk, whole runs",
        "the same bits at once, and again at the next start",
        all_runs,
        sample=2,
    ),
]
