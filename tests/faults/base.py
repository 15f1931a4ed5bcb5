"""What trials start from: the lab, runs that nothing stopped, and runs that were stopped."""

import hashlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from pfedmma_dist.clip import load
from pfedmma_dist.federation.federation import Federation
from tests.faults.place import Place
from tests.faults.ranks import Hook
from tests.faults.whole import Whole
from tests.runs import make_lab


@dataclass
class Base:
    """Made once, read by every trial."""

    path: Path
    quick: bool
    private: bool  # whether trials can have a /dev/shm of their own
    wholes: dict[str, Whole] = field(default_factory=dict)

    @classmethod
    def make(cls, path: Path, quick: bool, private: bool) -> "Base":
        """Fill a folder."""
        lab = make_lab(path)
        model = str(lab.path / "clip.json")
        for read in (load.tokenizer, load.dims):  # once for all trials, which are forks
            read(model)
        return cls(path, quick, private)

    def place(self, name: str) -> Place:
        """Return a place of this name."""
        folder = self.path / "places" / name
        folder.mkdir(parents=True)
        return Place(folder, self.path, self.private)

    def whole(self, ranks: int = 1, **changes: object) -> Whole:
        """Return the run with these changes that nothing stopped, trained once."""
        name = named("whole", ranks, changes)
        if name not in self.wholes:
            place = self.place(name)
            began = time.monotonic()
            ended = place.start(place.words(**changes), ranks).wait(300)
            assert not any(end.code for end in ended), [end.err[-2000:] for end in ended]
            self.wholes[name] = Whole.of(place.run, time.monotonic() - began)
        return self.wholes[name]

    def stopped(self, rounds: int = 2, **changes: object) -> Path:
        """Return the folder of the run with these changes, killed after so many rounds."""
        name = named("stopped", rounds, changes)
        folder = self.path / "places" / name / "run"
        if not folder.exists():
            place = self.place(name)
            place.start(place.words(**changes), 1, kill_in_round(rounds)).wait()
            assert len(list(folder.glob("checkpoints/round_*"))) == min(2, rounds), name
        return folder


def named(what: str, number: int, changes: dict[str, object]) -> str:
    """Return a name for a run of the base."""
    key = hashlib.sha256(repr(sorted(changes.items())).encode()).hexdigest()[:8]
    return f"{what}-{number}-{key}"


def kill_in_round(round_index: int, *ranks: int) -> Hook:
    """Return a hook that kills these ranks (none named: every rank) as a round begins."""

    def hook(rank: int) -> None:
        original = Federation.round

        def round_or_death(self: Federation, index: int, *words: object) -> object:
            if index == round_index and rank in (ranks or (rank,)):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, index, *words)

        Federation.round = round_or_death

    return hook
