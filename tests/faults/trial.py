"""A fault tried on the program, what became of it, and the row that counts such trials."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.base import Base
    from tests.faults.place import Place


class Ending(Enum):
    """What became of a trial; the first four are what the program promises."""

    UNHARMED = "the same bits"
    FELL_BACK = "the same bits after a word of warning"
    REFUSED = "refused by name"
    AS_TOLD = "as promised"
    SILENT = "silent"
    TRACEBACK = "traceback"
    FAILED = "failed otherwise"

    @property
    def survived(self) -> bool:
        """Whether a promise was kept."""
        return self not in (Ending.SILENT, Ending.TRACEBACK, Ending.FAILED)


@dataclass(frozen=True)
class Verdict:
    """One trial and its ending."""

    name: str
    ending: Ending
    note: str = ""


Play = Callable[["Place"], Iterable[Verdict]]
"""Try one fault, or a series of them, in a place of its own."""


@dataclass(frozen=True)
class Trial:
    """What is tried in one process. limit: seconds until its first and each further verdict."""

    name: str
    play: Play
    limit: float = 120.0


@dataclass(frozen=True)
class Kind:
    """One row of the table. trials: what to try; with `base.quick` a small sample is taken."""

    what: str
    meaning: str
    trials: Callable[["Base"], Iterable[Trial]]
    sample: int = 1  # trials of a quick start
    long: bool = False  # left out of a quick start, which says so


@dataclass
class Row:
    """The count of one kind."""

    what: str
    meaning: str = ""
    verdicts: list[Verdict] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # why trials were not tried
    never_met: int = 0  # trials whose fault never came about, and which are not counted

    @property
    def tried(self) -> int:
        """Return how many trials were really run."""
        return len(self.verdicts)

    @property
    def survived(self) -> int:
        """Return how many of them kept the program's promises."""
        return sum(verdict.ending.survived for verdict in self.verdicts)

    def count(self, ending: Ending) -> int:
        """Return how many ended like this."""
        return sum(verdict.ending is ending for verdict in self.verdicts)

    def failures(self) -> Iterator[Verdict]:
        """Yield those that did not survive."""
        return (verdict for verdict in self.verdicts if not verdict.ending.survived)

    def how(self) -> str:
        """Say how those that survived did, the most frequent first."""
        counts = Counter(verdict.ending for verdict in self.verdicts if verdict.ending.survived)
        told = [f"{number:,} {ending.value}" for ending, number in counts.most_common()]
        told += [verdict.note for verdict in self.verdicts if verdict.ending is Ending.AS_TOLD]
        told = [words for words in told if words]
        told += [f"{self.never_met:,} not counted, as their fault never came about"] * (
            self.never_met > 0
        )
        return ", ".join([*told, *self.left_out])


def exit_code(rows: Iterable[Row]) -> int:
    """Return 1 where anything did not survive, or where nothing was tried at all."""
    rows = list(rows)
    return int(any(row.survived < row.tried for row in rows) or not any(row.tried for row in rows))
