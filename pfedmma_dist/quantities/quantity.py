"""Quantity: all there is to say about one number, for whoever reports it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, Flag, auto

import numpy as np

from pfedmma_dist.quantities.units import UNITS

NAME = re.compile(r"\{([Nn])ame\}")
"""In the words of a quantity that there is of each scope or domain: its name, and its heading."""


class Source(Enum):
    """What a quantity of a run is made from, the names in `Quantity.of`."""

    CLIENTS = auto()  # scopes: the accuracies [K] of clients there, percent, nan where not scored
    ROUNDS = auto()  # columns of metrics.csv: the numbers [R] of a run's rounds
    RESULT = auto()  # nothing: it stands in result.json as it was measured


class Place(Flag):
    """Reports that show a quantity unasked, beside those whose name for it is given."""

    NOWHERE = 0
    TABLES = auto()  # launch.table
    STATUS = auto()  # launch.status, of finished runs
    RUN_FIGURE = auto()  # a run's own picture over its rounds, in percent
    SWEEP_FIGURES = auto()  # launch.figures: a picture over rounds, a line for each line of tables


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number of a run and, where it has a column, of each of its rounds."""

    key: str  # in result.json, and for `launch.table --columns`
    unit: str  # one of UNITS
    heading: str  # above a column of tables
    meaning: str  # what it is, in a line
    source: Source = Source.CLIENTS
    of: tuple[str, ...] = ()  # what `make` takes an array of each of
    make: Callable[..., float] | None = None  # nan: there is none
    each: str = ""  # "scope" or "domain": there is one of each, with its name for {name}
    domain: str = ""  # made from this domain's clients alone
    column: str = ""  # in metrics.csv; "": no number of single rounds
    tag: str = ""  # in TensorBoard
    line: str = ""  # in the line about a round: "loss {:.4f}"
    terminal: str = ""  # heading in the table that a run ends with
    is_spare: bool = False  # shown there only where nothing else combines or divides the clients
    below: str = ""  # key of what stands under it there
    axis: str = ""  # beside an axis; "": its heading and what it is measured in
    places: Place = Place.NOWHERE
    is_ranked: bool = False  # the highest of a table's column is its best

    def __post_init__(self) -> None:
        """Look a new entry over: the reports would stumble over it one by one."""
        assert self.unit in UNITS, f"{self.key}: a unit {self.unit} is not in UNITS"
        assert (self.make is None) == (self.source is Source.RESULT), self.key

    def made(self, *arrays: np.ndarray) -> float:
        """Return the number that is made of these, one of each of `of`."""
        assert self.make is not None, self.key
        return self.make(*arrays)

    @property
    def label(self) -> str:
        """Return the words beside an axis of figures."""
        if self.axis:
            return self.axis
        return f"{self.heading} " + ("accuracy (%)" if self.unit == "percent" else self.unit)

    def named(self, name: str) -> "Quantity":
        """Return the quantity of a scope or domain."""

        def filled(words: str) -> str:
            return NAME.sub(lambda found: name if found[1] == "n" else heading(name), words)

        return replace(
            self,
            key=filled(self.key),
            heading=filled(self.heading),
            meaning=filled(self.meaning),
            of=tuple(map(filled, self.of)),
            domain=name if self.each == "domain" else "",
            column=filled(self.column),
            tag=filled(self.tag),
            terminal=filled(self.terminal),
        )


def heading(scope: str) -> str:
    """Return a scope's name as it stands in figures and tables."""
    return scope.replace("_", " ").capitalize()
