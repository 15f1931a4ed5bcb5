"""Records: what a simulation hands out, as plain objects that nothing changes any more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.run.record import RoundRecord

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped, import-not-found, unused-ignore]

Numbers = npt.NDArray[Any]
Percent = Mapping[str, float]
"""Key of result.json, as `local_mean` -> percent."""
ByScope = Mapping[str, Numbers]
"""Name of a test set, as `local` -> accuracy of every client [K] float64 in percent, nan where a
client was not scored."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One finished round. Every rank is told the same, but for its own seconds."""

    round: int  # counted from 1
    loss: float  # mean over the round's training images; nan: not told
    scores: Percent  # {}: this round was not scored
    clients: ByScope = field(compare=False, repr=False)  # of which the scores are made
    samples: int  # images trained on, all ranks together
    bytes_up: int  # of one client, on the average of those that took part
    bytes_down: int
    seconds: float = field(compare=False)  # of training and scores
    train_seconds: float = field(compare=False)
    evaluate_seconds: float = field(compare=False)
    epsilon: float | None = None  # of all rounds so far; None: none can be told
    simulated: Mapping[str, float] = field(default_factory=dict)  # of a virtual clock
    dropped: Mapping[str, int | str] = field(default_factory=dict)  # whom the server left out
    scored_on: str = ""  # what the scores are a sample of; nothing where they are of all

    @classmethod
    def of(cls, record: RoundRecord, domains: ByScope) -> "Round":
        """Return what a program is told of a round. domains: name -> its clients."""
        return cls(
            round=record.round_index + 1,
            loss=record.loss,
            scores=summary(record.scores, domains) if record.scores else {},
            clients=frozen_arrays(record.scores),
            samples=record.samples,
            bytes_up=record.client_up_bytes,
            bytes_down=record.client_down_bytes,
            seconds=record.train_seconds + record.evaluate_seconds,
            train_seconds=record.train_seconds,
            evaluate_seconds=record.evaluate_seconds,
            epsilon=record.epsilon,
            simulated=dict(record.simulated),
            dropped=dict(record.dropped),
            scored_on=record.scored_on,
        )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The scores of one state of a run on all test sets, beside those of zero-shot CLIP."""

    rounds: int  # that the state has trained
    scores: Percent
    zero_shot: Percent
    clients: ByScope = field(compare=False, repr=False)

    @classmethod
    def of(cls, rounds: int, found: ByScope, beside: ByScope, task: Task) -> "Scored":
        """Return the record of accuracies, and of zero-shot CLIP's of the same clients."""
        domains = task.domains
        reached, reference = summary(found, domains), summary(beside, domains)
        clients = frozen_arrays(found)
        return cls(rounds=rounds, scores=reached, zero_shot=reference, clients=clients)

    def to_pandas(self) -> "DataFrame":
        """Return a row per client and a column per test set."""
        frame = pandas().DataFrame(dict(self.clients))
        frame.index.name = "client"
        return frame


@dataclass(frozen=True, kw_only=True)
class Client:
    """One client: what it has, what it holds, and how it is scored."""

    index: int
    num_images: int  # for training
    classes: tuple[str, ...]  # of these images
    domain: str  # its domain or data set; nothing where there are none
    scores: Percent  # name of a test set -> percent, of the newest scores; {}: none yet
    private: ByScope = field(compare=False, repr=False)  # name -> copy of its own numbers
    shared: ByScope = field(compare=False, repr=False)  # name -> copy of what it is handed


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a finished run has reached, as result.json, metrics.csv and clients.csv hold it."""

    folder: Path
    method: str
    rounds: int
    scores: Percent
    zero_shot: Percent
    trained: int  # numbers a client trains
    bytes_up: int  # per client and round
    bytes_down: int
    seconds: float | None = field(compare=False)  # wall clock of the whole run
    epsilon: float | None
    delta: float | None
    history: ByScope = field(compare=False, repr=False)  # column of metrics.csv -> number by round
    clients: ByScope = field(compare=False, repr=False)
    facts: Mapping[str, Any] = field(compare=False, repr=False)  # all of result.json

    def to_pandas(self, of: str = "rounds") -> "DataFrame":
        """Return a table: a row for each of the `rounds`, or of the `clients`, or of the `methods`,
        which are zero-shot CLIP and the run's own."""
        tables: dict[str, tuple[str, Mapping[str, Any]]] = {
            "rounds": ("round", {name: x for name, x in self.history.items() if name != "round"}),
            "clients": ("client", self.clients),
            "methods": (
                "method",
                {
                    key: [self.zero_shot.get(key, np.nan), self.scores.get(key, np.nan)]
                    for key in dict.fromkeys([*self.zero_shot, *self.scores])
                },
            ),
        }
        if of not in tables:
            raise ValueError(f"to_pandas: {of!r} is none of {', '.join(tables)}")
        name, columns = tables[of]
        index: Any = {
            "round": self.history.get("round", np.empty(0)).astype(np.int64) + 1,
            "client": np.arange(len(next(iter(self.clients.values()), ()))),
            "method": ["zero-shot CLIP", self.method],
        }[name]
        return pandas().DataFrame(dict(columns), index=pandas().Index(index, name=name))


def pandas() -> Any:
    """Return pandas, which nothing here needs but tables for those who have it."""
    try:
        import pandas as found
    except ImportError as error:
        raise ImportError(
            f"to_pandas needs pandas ({error}); pip install 'pfedmma_dist[pandas]', or read the "
            "same numbers from the object itself"
        ) from error
    return found


def frozen_arrays(values: Mapping[str, Numbers]) -> ByScope:
    """Return copies of arrays that cannot be altered."""
    found = {name: np.array(value) for name, value in values.items()}
    for value in found.values():
        value.setflags(write=False)
    return found
