"""Random damage to checkpoints: a thousand loads of damaged ones, and some whole runs."""

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pfedmma_dist import train
from pfedmma_dist.run import loading
from tests.faults.base import Base
from tests.faults.inside import Ear, caught, judge
from tests.faults.mutations import mutate
from tests.faults.place import Place
from tests.faults.trial import Kind, Trial, Verdict
from tests.faults.whole import Whole

SERIES, LOADS = 8, 125
WHOLE_RUNS = 30
TENSORS = ("shards", "server")


def loads(place: Place, seed: int, number: int, stopped: Path) -> Iterator[Verdict]:
    """Damage one or two files, or copies, of a run with two checkpoints, and load."""
    rng = random.Random(seed)
    place.copy(stopped)
    folder, pristine = place.run / "checkpoints", place.path / "pristine"
    shutil.copytree(folder, pristine)
    call, ear = caught(loading, "load", train.main, place.words()), Ear()
    newest = call()
    older_name, newest_name = sorted(path.name for path in folder.glob("round_*"))
    shutil.rmtree(folder / newest_name)
    older = call()
    assert older.round_index < newest.round_index
    for _ in range(number):
        shutil.rmtree(folder)
        shutil.copytree(pristine, folder)
        told = [mutate(folder, rng) for _ in range(rng.choice((1, 1, 2)))]
        if rng.random() < 0.1:
            target = folder / rng.choice(("elsewhere", ".round_000002.tmp", "round_2"))
            (folder / newest_name).rename(target)
            told.append(f"rename {newest_name} to {target.name}")
        gone = not (folder / newest_name).exists()

        def right(found: Any) -> bool:
            return same(found, newest) or (same(found, older) and bool(ear.heard))

        def excused(found: Any, gone: bool = gone) -> bool:
            return gone and same(found, older)  # nothing is left that could tell of it

        yield judge(f"{', '.join(told)}", call, ear, right, excused)


def same(found: Any, wanted: Any) -> bool:
    """Whether two loaded checkpoints have the same bits."""
    if found is None:
        return False
    plain = [{k: v for k, v in vars(each).items() if k not in TENSORS} for each in (found, wanted)]
    if plain[0] != plain[1]:
        return False
    mine, theirs = [{**each.shards, "server": each.server} for each in (found, wanted)]
    return mine.keys() == theirs.keys() and all(
        mine[part].keys() == theirs[part].keys()
        and all(torch.equal(mine[part][key], theirs[part][key]) for key in mine[part])
        for part in mine
    )


def run(place: Place, seed: int, stopped: Path, whole: Whole) -> Iterator[Verdict]:
    """Damage one or two files of a stopped run's checkpoints and start it again."""
    rng = random.Random(seed)
    place.copy(stopped)
    told = [mutate(place.run / "checkpoints", rng) for _ in range(rng.choice((1, 2)))]
    ended = place.start(place.words()).wait()
    yield place.judge(", ".join(told), ended, whole, may_refuse=True)


def all_loads(base: Base) -> Iterator[Trial]:
    """Yield series of loads."""
    number, stopped = 8 if base.quick else LOADS, base.stopped()
    for seed in range(SERIES):
        play = partial(loads, seed=seed, number=number, stopped=stopped)
        yield Trial(f"series {seed}", play)


def all_runs(base: Base) -> Iterator[Trial]:
    """Yield whole runs."""
    stopped, whole = base.stopped(), base.whole()
    for seed in range(WHOLE_RUNS):
        yield Trial(f"seed {seed}", partial(run, seed=seed, stopped=stopped, whole=whole))


KINDS = [
    Kind(
        "random damage to checkpoints, loaded",
        "one or two files of the newest two checkpoints flipped, zeroed, cut, emptied, deleted, "
        "doubled, swapped, made a folder or a dead link; the newest intact one must be loaded, "
        "with a warning where another one is there, or all be refused",
        all_loads,
    ),
    Kind(
        "random damage to checkpoints, whole runs",
        "the same, and the run goes on to the same bits or is refused",
        all_runs,
    ),
]
