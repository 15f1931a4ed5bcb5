"""Run trials, each in a process with a time limit, some at a time, and count how they end."""

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.base import Base
from tests.faults.place import Place, adopt_orphans, own_shared_memory
from tests.faults.ranks import redirect
from tests.faults.trial import Ending, Kind, Row, Trial, Verdict

REPORTED = 1
"""Lines of progress are about single trials, and of a series about every so many of it."""

SERIES = 100


@dataclass
class Playing:
    """A trial under way."""

    trial: Trial
    row: Row
    place: Place
    process: int
    pipe: int
    heard: float  # when it last gave a verdict
    text: bytes = b""
    verdicts: list[Verdict] = field(default_factory=list)


class Runner:
    """Plays trials and keeps the rows."""

    def __init__(self, base: Base, workers: int) -> None:
        """workers: trials at a time; one where they share /dev/shm, whose rests they look for."""
        adopt_orphans()
        self.base, self.workers = base, workers if base.private else 1
        self.playing: list[Playing] = []
        self.number = 0
        self.done = 0

    def run(self, kinds: list[Kind]) -> list[Row]:
        """Play the trials of all kinds and return a row for each kind."""
        rows = [Row(kind.what, kind.meaning) for kind in kinds]
        try:
            for kind, row in zip(kinds, rows, strict=True):
                for trial in self._due(kind, row):
                    while len(self.playing) >= self.workers:
                        self._listen()
                    self._begin(trial, row)
            while self.playing:
                self._listen()
        finally:
            for item in self.playing:
                end(*offspring(item.process), item.process)
        return rows

    def _due(self, kind: Kind, row: Row) -> Iterator[Trial]:
        """Yield the trials of a kind, in a quick start a sample of them spread evenly."""
        if self.base.quick and kind.long:
            row.left_out.append("left out of a quick start")
            return
        trials = list(kind.trials(self.base))
        step = -(-len(trials) // kind.sample) if self.base.quick else 1
        yield from trials[::step]

    def _begin(self, trial: Trial, row: Row) -> None:
        self.number += 1
        place = self.base.place(f"trial-{self.number}")
        ours, theirs = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            os.close(ours)
            _play(trial, place, theirs)
        os.close(theirs)
        self.playing.append(Playing(trial, row, place, process, ours, time.monotonic()))

    def _listen(self) -> None:
        """Take in what has been said by now, and end what has been silent for too long."""
        ready, _, _ = select.select([item.pipe for item in self.playing], [], [], 0.2)
        for item in [*self.playing]:
            if item.pipe in ready:
                chunk = os.read(item.pipe, 2**16)
                *lines, item.text = (item.text + chunk).split(b"\n")
                for line in lines:
                    name, ending, note = json.loads(line)
                    self._count(item, Verdict(name, Ending[ending], note))
                if not chunk:
                    self._end(item, late=False)
            elif time.monotonic() - item.heard > item.trial.limit:
                told = f"no answer within {item.trial.limit:g} s"
                self._count(item, Verdict(item.trial.name, Ending.FAILED, told))
                self._end(item, late=True)

    def _count(self, item: Playing, verdict: Verdict) -> None:
        item.heard = time.monotonic()
        item.verdicts.append(verdict)
        item.row.verdicts.append(verdict)
        self.done += 1
        number = len(item.verdicts)
        if number == REPORTED or number % SERIES == 0 or not verdict.ending.survived:
            tell(f"{self.done:>5}  {item.row.what}: {shown(verdict)}")

    def _end(self, item: Playing, late: bool) -> None:
        """Take a trial's process and its folder away; late: and whatever it has started."""
        self.playing.remove(item)
        os.close(item.pipe)
        if late:
            end(*offspring(item.process), item.process)
            status = 1
        else:
            _, status = os.waitpid(item.process, 0)
        if not item.verdicts and status == 0:
            item.row.never_met += 1
        elif not item.verdicts:
            said = item.place.path / "trial.txt"
            told = said.read_text("utf-8", "replace")[-300:] if said.exists() else ""
            self._count(item, Verdict(item.trial.name, Ending.FAILED, f"no verdict: {told}"))
        shutil.rmtree(item.place.path, ignore_errors=True)


def shown(verdict: Verdict) -> str:
    """Return a verdict as one line."""
    note = f" ({verdict.note})" if verdict.note else ""
    mark = "" if verdict.ending.survived else "** "
    return f"{verdict.name}: {mark}{verdict.ending.value}{note}"


def tell(line: str) -> None:
    """Say how far things are."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def offspring(process: int) -> list[int]:
    """Return the descendants of a process of ours, the youngest first."""
    found = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = [int(word) for word in tasks.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [*offspring(child), child]
    return found


def end(*processes: int) -> None:
    """Kill processes of ours, or of a child's, and wait until they are gone."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for process in reversed(processes):  # parents first: their children are then ours
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, 0)


def _play(trial: Trial, place: Place, pipe: int) -> None:
    """Play a trial, from here to the end of the process."""
    try:
        redirect(place.path / "trial.txt")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        adopt_orphans()
        if place.private:
            own_shared_memory()
        for verdict in trial.play(place):
            line = json.dumps([verdict.name, verdict.ending.name, verdict.note])
            os.write(pipe, line.encode() + b"\n")
    except BaseException as error:  # a fault of the suite itself, which must not look like a pass
        traceback.print_exc()
        told = f"the suite failed: {error!r}"[:300]
        os.write(pipe, json.dumps([trial.name, "FAILED", told]).encode() + b"\n")
    finally:
        end(*offspring(os.getpid()))
        os._exit(0)
