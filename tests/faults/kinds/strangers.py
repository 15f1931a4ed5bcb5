"""What lies around checkpoints changed by hand, and checkpoints of other runs."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.faults.base import Base
from tests.faults.place import Place
from tests.faults.trial import Kind, Trial, Verdict
from tests.faults.whole import Whole

OTHERS: dict[str, dict[str, object]] = {
    "another seed": {"seed": 2},
    "another rate": {"optim__lr": 0.01},
    "another number of clients": {"data__num_clients": 3},
    "another template": {"data__template": "a sketch of a {}."},
    "other rounds": {"federation__rounds": 5},
    "other options": {"method__rank": 16},
    "another method": {"method__name": "promptfl"},
    "other shards": {"federation__num_shards": 2},
}


ONE, ALL, LOST = HOW = (
    "a checkpoint of a run with",
    "all checkpoints of a run with",
    "config.yaml removed and",
)


def foreign(place: Place, name: str, how: str, base: Base, whole: Whole) -> Iterator[Verdict]:
    """Bring in a checkpoint, or all, of another run; or lose the configuration and be that run."""
    place.copy(base.stopped())
    if how == LOST:
        (place.run / "config.yaml").unlink()
        ended = place.start(place.words(**OTHERS[name])).wait()
        yield place.judge(f"{how} {name}", ended, whole, must_refuse=True)
        return
    theirs = base.stopped(**OTHERS[name]) / "checkpoints"
    if how == ALL:
        shutil.rmtree(place.run / "checkpoints")
        shutil.copytree(theirs, place.run / "checkpoints")
    else:
        shutil.rmtree(place.run / "checkpoints" / "round_000002")
        shutil.copytree(theirs / "round_000002", place.run / "checkpoints" / "round_000002")
    ended = place.start(place.words()).wait()
    yield place.judge(f"{how} {name}", ended, whole, may_refuse=True)


def around(place: Place, name: str, stopped: Path, whole: Whole) -> Iterator[Verdict]:
    """Change what lies around the checkpoints."""
    place.copy(stopped)
    AROUND[name](place.run)
    ended = place.start(place.words()).wait()
    yield place.judge(name, ended, whole, may_refuse=True)


AROUND: dict[str, Callable[[Path], object]] = {
    "newest checkpoint deleted": lambda run: shutil.rmtree(run / "checkpoints/round_000002"),
    "all checkpoints deleted": lambda run: shutil.rmtree(run / "checkpoints"),
    "newest renamed to an earlier round": lambda run: (
        shutil.rmtree(run / "checkpoints/round_000001"),
        (run / "checkpoints/round_000002").rename(run / "checkpoints/round_000001"),
    ),
    "newest renamed to a later round": lambda run: (
        (run / "checkpoints/round_000002").rename(run / "checkpoints/round_000003")
    ),
    "newest copied as a later round": lambda run: shutil.copytree(
        run / "checkpoints/round_000002", run / "checkpoints/round_000003"
    ),
    "newest copied beyond the last round": lambda run: shutil.copytree(
        run / "checkpoints/round_000002", run / "checkpoints/round_000099"
    ),
    "a file named like a checkpoint": lambda run: (run / "checkpoints/round_000003").touch(),
    "a dead link named like a checkpoint": lambda run: (
        (run / "checkpoints/round_000003").symlink_to("nowhere")
    ),
    "an empty folder named like a checkpoint": lambda run: (
        (run / "checkpoints/round_000003").mkdir()
    ),
    "rests of a crash": lambda run: (
        shutil.copytree(run / "checkpoints/round_000002", run / "checkpoints/.round_000003.tmp"),
        (run / "checkpoints/round_000002").rename(run / "checkpoints/.round_000002.old"),
    ),
    "checkpoints is a file": lambda run: (
        shutil.rmtree(run / "checkpoints"), (run / "checkpoints").touch()
    ),
    "config.yaml empty": lambda run: (run / "config.yaml").write_text(""),
    "config.yaml a list": lambda run: (run / "config.yaml").write_text("- 1\n"),
    "config.yaml nested": lambda run: (run / "config.yaml").write_text("[" * 5000),
    "config.yaml a folder": lambda run: (
        (run / "config.yaml").unlink(), (run / "config.yaml").mkdir()
    ),
    "config.yaml with another rate": lambda run: (run / "config.yaml").write_text(
        (run / "config.yaml").read_text().replace("lr: 0.05", "lr: 0.04")
    ),
    "config.yaml removed": lambda run: (run / "config.yaml").unlink(),
    "result.json of another program": lambda run: (
        (run / "result.json").write_text(json.dumps({"accuracy": 99}))
    ),
    ".lock a folder": lambda run: ((run / ".lock").unlink(), (run / ".lock").mkdir()),
}  # fmt: skip


def all_around(base: Base) -> Iterator[Trial]:
    """Yield the changes around the checkpoints."""
    stopped, whole = base.stopped(), base.whole()
    for name in AROUND:
        yield Trial(name, partial(around, name=name, stopped=stopped, whole=whole))


def foreigners(base: Base) -> Iterator[Trial]:
    """Yield the mixtures of runs."""
    whole = base.whole()
    base.stopped()
    for how in HOW:
        for name, changes in OTHERS.items():
            if not base.quick:  # once for the trials of all three ways; a sample makes its own
                base.stopped(**changes)
            play = partial(foreign, name=name, how=how, base=base, whole=whole)
            yield Trial(f"{how} {name}", play)


KINDS = [
    Kind(
        "what lies around the checkpoints changed by hand",
        "checkpoints deleted, renamed to other rounds, doubled, files and links named like them, "
        "config.yaml emptied, edited or removed; the same bits, or a refusal",
        all_around,
    ),
    Kind(
        "a checkpoint of another run, or another run in its folder",
        "other seed, rate, clients, template, options, method or shards; the run must refuse, or "
        "fall back to what is its own",
        foreigners,
        sample=2,
    ),
]
