"""Who is where: the notes that ranks leave in their store, and the watch that a waiting rank keeps.

A note says how many sums a rank has come to, so one that is missing is told from one that is not.
Nothing here can fail a run: a store that has gone only leaves the others unnamed.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import torch.distributed as dist

LOOK_SECONDS = 1.0
"""Between two looks at the notes."""

SILENT_SECONDS = 8.0
"""A rank, or the store, that gave no sign for so long while it should have hangs."""

ANSWER_SECONDS = 2.0
"""How long a rank that is about to leave waits for the store."""

LINGER_SECONDS = 3.0
"""How long the rank that keeps the store stays for the others to read why it leaves."""

NAMED = 8
"""Ranks that a message names."""


@dataclass(frozen=True)
class Note:
    """What a rank last said of itself."""

    sums: int  # that it has come to
    host: str
    phase: str

    def __str__(self) -> str:
        return f"{self.sums} {self.host} {self.phase}"

    @classmethod
    def read(cls, text: str) -> "Note":
        """Return what `str` has written."""
        sums, host, phase = text.split(" ", 2)
        return cls(int(sums), host, phase)


class Roster:
    """The notes of all ranks, this one's and the others' as far as they were read."""

    def __init__(
        self,
        store: dist.Store,
        rank: int,
        size: int,
        keeper: int | None = None,
        address: str = "",
    ) -> None:
        """keeper: the rank with which the store ends; None where torchrun keeps it. address: of the
        store, for people."""
        self.store, self.rank, self.size, self.keeper = store, rank, size, keeper
        self.address = address
        self.sums, self.host, self.phase = 0, socket.gethostname(), "starting up"
        self.entered = time.monotonic()  # the phase
        self.notes: dict[int, Note] = {}
        self._gone = False  # the store
        store.set(f"beat/{rank}", "0")
        self.tell()

    def enter(self, phase: str) -> None:
        """Tell the others what this rank begins with."""
        self.phase, self.entered = phase, time.monotonic()
        self.tell()

    def come(self) -> None:
        """Note that this rank has come to the next sum.

        The others are told where it has to wait: a note costs a short sum a fifth of its time, and
        until then nobody asks.
        """
        self.sums += 1

    def tell(self) -> None:
        """Leave this rank's note in the store."""
        if not self._gone:
            try:
                note = Note(self.sums, self.host, self.phase)
                self.store.set(f"note/{self.rank}", str(note))
            except RuntimeError:
                self._gone = True

    def absent(self) -> list[int]:
        """Return the ranks that have not written a note yet."""
        return [rank for rank in range(self.size) if not self.store.check([f"note/{rank}"])]

    def read(self, store: dist.Store) -> None:
        """Read all notes, once every rank has written one."""
        texts = store.multi_get([f"note/{rank}" for rank in range(self.size)])
        self.notes = {rank: Note.read(text.decode()) for rank, text in enumerate(texts)}

    def host_mates(self) -> tuple[int, ...]:
        """Return the ranks of this host; they can share one feature file."""
        return tuple(rank for rank, note in self.notes.items() if note.host == self.host)

    def behind(self) -> list[int]:
        """Return the ranks that, by their notes, have not come to the sum this one is at."""
        return [rank for rank, note in self.notes.items() if note.sums < self.sums]

    def names(self, ranks: Iterable[int]) -> str:
        """Name ranks, with host and phase."""
        known = [(rank, self.notes[rank]) for rank in ranks]
        words = [f"rank {rank} (host {note.host}, {note.phase})" for rank, note in known]
        more = [f"{len(words) - NAMED} more"] if len(words) > NAMED else []
        return ", ".join(words[:NAMED] + more)

    def say_leaving(self) -> None:
        """Let ranks that wait for this one know that it was asked to stop."""

        def say() -> None:
            store = self.store.clone()
            store.set("leaving", str(self.rank))
            left = store.add("left", 1)  # answered, so the line before has arrived
            end = time.monotonic() + LINGER_SECONDS
            while self.keeper == self.rank and left < self.size and time.monotonic() < end:
                time.sleep(0.05)
                left = store.add("left", 0)

        _apart(say, ANSWER_SECONDS + LINGER_SECONDS)


class Watch:
    """Reads the notes once a second while this rank waits, and shows the others that it lives.

    In a thread and over a connection of its own: a store on a host that hangs answers nobody, and
    signals must be heard meanwhile.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.leaving: int | None = None  # a rank that was asked to stop and leaves
        self._answered: float | None = None
        self._beats: dict[int, tuple[bytes, float]] = {}  # rank -> its newest, and since when
        self._over = threading.Event()
        self._looked = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def first_look(self) -> None:
        """Wait for it, but not for long."""
        self._looked.wait(ANSWER_SECONDS)

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def missing(self) -> str:
        """Name the ranks that have not come, else those that have and give no sign any more."""
        roster = self.roster
        if self._blind():
            keeper = "torchrun" if roster.keeper is None else roster.names([roster.keeper])
            at = f" at {roster.address}" if roster.address else ""
            return (
                f"ranks that cannot be named: {keeper} keeps their store{at}, and does not answer"
            )
        return roster.names(self._missing()) or "a network that stalls: all ranks have come"

    def speaks(self) -> bool:
        """Whether it is for this rank to name the others: it is the first that has come."""
        there = set(range(self.roster.size)) - set(self._missing())
        return self._blind() or min(there, default=None) == self.roster.rank

    def _blind(self) -> bool:
        answered = self._answered
        return answered is None or time.monotonic() - answered > SILENT_SECONDS

    def _missing(self) -> list[int]:
        now = time.monotonic()
        silent = [rank for rank, (_, at) in self._beats.items() if now - at > SILENT_SECONDS]
        return self.roster.behind() or silent

    def _run(self) -> None:
        with suppress(RuntimeError):
            store, looks = self.roster.store.clone(), 0
            while not self._over.is_set():
                looks += 1
                self._look(store, looks)
                self._looked.set()
                self._over.wait(LOOK_SECONDS)
        self._looked.set()

    def _look(self, store: dist.Store, looks: int) -> None:
        roster, before = self.roster, self._beats
        store.set(f"beat/{roster.rank}", f"{roster.sums} {looks}")
        if store.check(["leaving"]):
            self.leaving = int(store.get("leaving"))
        roster.read(store)
        beats = store.multi_get([f"beat/{rank}" for rank in range(roster.size)])
        self._answered = now = time.monotonic()
        self._beats = {
            rank: before[rank] if rank in before and before[rank][0] == beat else (beat, now)
            for rank, beat in enumerate(beats)
        }


def _apart(action: Callable[[], None], seconds: float) -> None:
    """Do what may hang, or fail, in a thread, and wait for it so long."""

    def act() -> None:
        with suppress(RuntimeError):
            action()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)


def numbers(ranks: list[int]) -> str:
    """Name ranks by their numbers, those in a row by the first and the last of them."""
    rows: list[list[int]] = []
    for rank in ranks:
        if rows and rank == rows[-1][-1] + 1:
            rows[-1].append(rank)
        else:
            rows.append([rank])
    words: list[str] = []
    for row in rows:
        words += [f"{row[0]} to {row[-1]}"] if len(row) > 2 else map(str, row)
    words = words[:NAMED] + ([f"{len(words) - NAMED} more"] if len(words) > NAMED else [])
    listed = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "no one"
    return f"rank {listed}" if len(ranks) == 1 else f"ranks {listed}"
