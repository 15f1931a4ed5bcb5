"""What the loop hands to the report: facts about clients, rounds and finished methods."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pfedmma_dist.exchange import Cost

DRAWN_CLIENTS = 200
"""Clients at most whose class counts are kept for the picture: rows beyond cannot be told apart."""


@dataclass(frozen=True)
class ClientTable:
    """The training data of every client."""

    sizes: np.ndarray  # [K] int64, training images
    num_classes: np.ndarray  # [K] int64, classes with at least one of them
    drawn: np.ndarray  # [D] int64, every n-th client, at most DRAWN_CLIENTS of them
    class_counts: np.ndarray  # [D, C] int64, images per class of these
    domains: Mapping[str, np.ndarray]  # name -> its clients; {}: not told apart by domain

    @classmethod
    def count(
        cls,
        num_classes: int,
        num_clients: int,
        owners: np.ndarray,  # [n] int64 client of each training image
        labels: np.ndarray,  # [n] int64
        domains: Mapping[str, np.ndarray] | None = None,
    ) -> "ClientTable":
        """Count the labels of each client's training images."""
        sizes = np.bincount(owners, minlength=num_clients)
        pairs = np.sort(owners * num_classes + labels)
        first = np.diff(pairs, prepend=-1) > 0  # of its client and class
        classes = np.bincount(pairs[first] // num_classes, minlength=num_clients)
        every = -(-num_clients // DRAWN_CLIENTS)
        drawn = np.arange(0, num_clients, every)
        kept = pairs[pairs // num_classes % every == 0]
        places = kept // num_classes // every * num_classes + kept % num_classes
        table = np.bincount(places, minlength=len(drawn) * num_classes)
        return cls(sizes, classes, drawn, table.reshape(len(drawn), num_classes), domains or {})


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """One finished round."""

    round_index: int  # counted from 0
    loss: float  # mean over the round's training images; nan: not told
    samples: int  # images trained on, all ranks together
    train_seconds: float
    evaluate_seconds: float = 0.0
    client_up_bytes: int  # what one real client would send
    client_down_bytes: int  # what one real client would receive
    rank_bytes: int  # payload that one rank handed to the collective
    simulated: Mapping[str, float] = field(default_factory=dict)
    """Column -> number of the virtual clock, where one runs."""
    scores: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # scope -> [K] percent; {}: not scored
    epsilon: float | None = None  # of all rounds so far; None: none can be told
    scored_on: str = ""  # what the scores are a sample of; nothing where they are of all
    dropped: Mapping[str, int | str] = field(default_factory=dict)
    """A row of dropped.csv: how many `honest` clients and `attackers` the server left out, and
    which `clients` these were; {}: none."""

    @property
    def samples_per_second(self) -> float:
        """Images trained on per second, all ranks together."""
        return self.samples / self.train_seconds if self.train_seconds > 0 else 0.0

    @property
    def measured(self) -> dict[str, float]:
        """Return column of metrics.csv -> number, of all but the scores and what is not told."""
        told = {"loss": self.loss, "samples_per_second": self.samples_per_second}
        if math.isnan(self.loss):
            told = {}
        if self.epsilon is not None:
            told["epsilon"] = self.epsilon
        return {
            **told,
            "train_seconds": self.train_seconds,
            "evaluate_seconds": self.evaluate_seconds,
            "client_up_bytes": self.client_up_bytes,
            "client_down_bytes": self.client_down_bytes,
            "rank_bytes": self.rank_bytes,
            **self.simulated,
        }


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """A row of the final table; `dataclasses.asdict` of it is what result.json holds."""

    name: str
    scores: dict[str, float]  # of `summary` in quantities/scores.py, percent
    trained: int  # numbers a client trains
    up_numbers: int  # per client and round
    down_numbers: int
    up_bytes: int
    down_bytes: int
    start_numbers: int = 0  # received beside them to start from, where the paper counts it apart
    seconds: float | None = None  # wall clock of the whole run
    peeking: float | None = None  # points of Local of the best round on test over the reported one
    epsilon: float | None = None  # of each client's privacy; None: none is promised
    delta: float | None = None

    @classmethod
    def of(
        cls,
        name: str,
        scores: dict[str, float],
        trained: int = 0,
        cost: Cost = Cost(0, 0),  # noqa: B008 (frozen)
        seconds: float | None = None,
        peeking: float | None = None,
        privacy: Mapping[str, Any] | None = None,  # epsilon and delta among others, if any
    ) -> "MethodResult":
        """Return the row of a method of this cost."""
        return cls(
            name=name,
            scores=scores,
            trained=trained,
            up_numbers=cost.up,
            down_numbers=cost.down,
            up_bytes=cost.bytes_up,
            down_bytes=cost.bytes_down,
            start_numbers=cost.start,
            seconds=seconds,
            peeking=peeking,
            epsilon=(privacy or {}).get("epsilon"),
            delta=(privacy or {}).get("delta"),
        )
