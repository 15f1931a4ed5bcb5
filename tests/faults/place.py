"""The place of one trial: a folder, a /dev/shm of its own, runs, and their comparison."""

import ctypes
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pfedmma_dist import train
from tests.faults.ranks import Hook, Ranks
from tests.faults.trial import Ending, Verdict
from tests.faults.whole import FEWER, Whole, compare
from tests.runs import TINY, Ended

SHARED_MEMORY = Path("/dev/shm")
CLONE_NEWNS, MS_PRIVATE_ALL, MS_REMOUNT = 0x20000, 0x44000, 32
PR_SET_CHILD_SUBREAPER = 36

REFUSAL = re.compile(r"^(?:\[rank \d+\] )?error: (.*)", re.MULTILINE)
NAMES = re.compile(r"^[a-z_]+(\.[a-z_]+)*: |(?<!\w)/\w|\bkey\b")
"""A key before a colon, a path, or the word for what is no key."""

WITHOUT = "going on without"
LOST = "another rank has gone"
TRACE = "Traceback (most recent call last)"


def libc() -> ctypes.CDLL:
    """Return the C library, whose mount and unshare Python does not have."""
    return ctypes.CDLL(None, use_errno=True)


def own_shared_memory(size: str = "256m") -> bool:
    """Give this process and its children a /dev/shm of their own; return whether that went."""
    library = libc()
    if library.unshare(CLONE_NEWNS) or library.mount(None, b"/", None, MS_PRIVATE_ALL, None):
        return False
    return mount(SHARED_MEMORY, size)


def mount(path: Path, size: str, again: bool = False) -> bool:
    """Mount a small tmpfs, or give one another size; return whether that went."""
    flags = MS_REMOUNT if again else 0
    options = f"size={size}".encode()
    return libc().mount(b"tmpfs", os.fsencode(path), b"tmpfs", flags, options) == 0


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent dies, so that they can be waited for."""
    libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True)
class Place:
    """Where one trial happens."""

    path: Path
    lab: Path  # of the base: the data and the model, which no trial may touch
    private: bool  # whether /dev/shm is ours alone

    def words(self, **changes: object) -> list[str]:
        """Return the command line of the run of this place; changes: as in `Lab.words`."""
        keys: dict[str, object] = TINY | {"run.checkpoint_every": 1}
        keys |= {
            "data.root": self.lab / "data",
            "clip.model": self.lab / "clip.json",
            "clip.cache_folder": self.path / "cache",
            "run.folder": self.run,
        }
        keys |= {key.replace("__", "."): value for key, value in changes.items()}
        return [f"{key}={value}" for key, value in keys.items()]

    @property
    def run(self) -> Path:
        """Return the run folder."""
        return self.path / "run"

    def another(self) -> "Place":
        """Return a place inside this one."""
        (self.path / "another").mkdir()
        return Place(self.path / "another", self.lab, self.private)

    def start(
        self, words: list[str], size: int = 1, hook: Hook | None = None, drawn: bool = False
    ) -> Ranks:
        """Start a run."""
        return Ranks(self.path / "said", words, size, hook, train.main, drawn)

    def copy(self, folder: Path, name: str = "run") -> Path:
        """Bring a folder of the base here, links and times as they are."""
        return Path(shutil.copytree(folder, self.path / name, symlinks=True))

    def judge(
        self,
        name: str,
        ended: Sequence[Ended],
        whole: Whole,
        *,
        may_refuse: bool = False,
        must_refuse: bool = False,
        before: Sequence[Ended] = (),
    ) -> Verdict:
        """Judge the last start of a run by how it ended and by the bits it left.

        may_refuse: a clear refusal is as good as the same bits. must_refuse: nothing else is.
        before: earlier starts, which may have ended in any way but a traceback.
        """
        trace = first_trace([*before, *ended])
        if trace:
            return Verdict(name, Ending.TRACEBACK, trace)
        codes = sorted({end.code for end in ended})
        if 2 in codes and set(codes) <= {1, 2} and all(e.code == 2 or LOST in e.err for e in ended):
            told = told_refusal(ended)
            if told is None:
                return Verdict(name, Ending.FAILED, "exit code 2 without one line that says why")
            fine = may_refuse or must_refuse
            return Verdict(name, Ending.REFUSED if fine else Ending.FAILED, told)
        if codes != [0]:
            return Verdict(name, Ending.FAILED, f"exit codes {codes}: {last_line(ended)}")
        if must_refuse:
            return Verdict(name, Ending.SILENT, "went on as if nothing had changed")
        differences, left = compare(self.run, whole), self.left_over()
        if any(WITHOUT in end.err for end in [*before, *ended]):  # what it said it goes on without
            differences = [one for one in differences if not one.startswith(FEWER)]
        if differences:
            return Verdict(name, Ending.SILENT, "; ".join([*differences, *left]))
        if left:
            return Verdict(name, Ending.FAILED, "; ".join(left))
        warned = any(" WARNING " in end.err for end in ended)
        return Verdict(name, Ending.FELL_BACK if warned else Ending.UNHARMED)

    def left_over(self) -> list[str]:
        """Say what lies in shared memory and beside the checkpoints that nobody needs any more."""
        left = [item.name for item in SHARED_MEMORY.glob("*")] if self.private else []
        left += [item.name for item in self.run.glob("checkpoints/.*")]
        left += [item.name for item in self.run.glob(".*.tmp")]
        return [f"left behind: {', '.join(sorted(left))}"] if left else []


def first_trace(ended: Sequence[Ended]) -> str:
    """Return the last line of the first traceback that any rank printed, or nothing."""
    for end in ended:
        if TRACE in end.err:
            lines = end.err[end.err.index(TRACE) :].splitlines()
            final = [line for line in lines if line[:1].strip()]  # not indented
            return (final[1] if len(final) > 1 else lines[-1])[:200]
    return ""


def told_refusal(ended: Sequence[Ended]) -> str | None:
    """Return the one error that was told, if it names a key or a file."""
    told = {line for end in ended for line in REFUSAL.findall(end.err)}
    if len(told) != 1 or not NAMES.search(*told):
        return None
    return min(told)[:200]


def last_line(ended: Sequence[Ended]) -> str:
    """Return what was said last."""
    lines = [line for end in ended for line in end.err.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing said"
