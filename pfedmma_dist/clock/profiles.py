"""Profiles: how fast every client computes, sends and receives, and how often it fails."""

import csv
import io
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from pfedmma_dist.reading import read_text
from pfedmma_dist.rng import generator
from pfedmma_dist.spelling import hint, quoted

REMEDY = "mend it there, or name another file"


@dataclass(frozen=True)
class Profiles:
    """One number of each kind for every client."""

    flops_per_second: np.ndarray  # [K] float64, sustained in training
    up_bits_per_second: np.ndarray  # [K]
    down_bits_per_second: np.ndarray  # [K]
    availability: np.ndarray  # [K] probability to be there when a round begins, above 0
    dropout: np.ndarray  # [K] probability that an upload is lost
    jitter: np.ndarray  # [K] deviation of the logarithm of a round's seconds

    @property
    def table(self) -> np.ndarray:
        """All numbers [6, K]."""
        return np.stack([getattr(self, item.name) for item in fields(self)])


@dataclass(frozen=True)
class Tier:
    """A kind of devices: ranges, of which a client's speeds are drawn evenly on a log scale."""

    flops: tuple[float, float]
    up: tuple[float, float]
    down: tuple[float, float]
    availability: float
    dropout: float
    jitter: float


EVEN = Tier((1e12, 1e12), (1e6, 1e6), (1e7, 1e7), 1.0, 0.0, 0.0)
PHONE = Tier((2e10, 2e11), (1e6, 2e7), (5e6, 1e8), 0.8, 0.1, 0.3)
LAPTOP = Tier((1e11, 1e12), (5e6, 5e7), (2e7, 2e8), 0.9, 0.05, 0.2)
SILO = Tier((5e12, 2e13), (5e7, 5e8), (1e8, 1e9), 1.0, 0.01, 0.1)

FLEETS: dict[str, tuple[tuple[float, Tier], ...]] = {
    "even": ((1.0, EVEN),),
    "phones": ((1.0, PHONE),),
    "laptops": ((1.0, LAPTOP),),
    "silos": ((1.0, SILO),),
    "mixed": ((0.6, PHONE), (0.3, LAPTOP), (0.1, SILO)),
}
"""Name -> share and kind of its devices. No measured trace: round numbers of our choice, of the
order of what such devices sustain and such lines carry."""

LIMITS = {
    "flops_per_second": (lambda x: x > 0, "a number above 0"),
    "up_bits_per_second": (lambda x: x > 0, "a number above 0"),
    "down_bits_per_second": (lambda x: x > 0, "a number above 0"),
    "availability": (lambda x: 0 < x <= 1, "a probability above 0 and at most 1"),
    "dropout": (lambda x: 0 <= x <= 1, "a probability, 0 to 1"),
    "jitter": (lambda x: 0 <= x <= 10, "a number from 0 to 10"),
}
"""Column -> what its values must be."""

USUAL = {"availability": 1.0, "dropout": 0.0, "jitter": 0.0}
"""Columns that a file may leave out, and what they then are."""


def of_fleet(fleet: str, seed: int, num_clients: int) -> Profiles:
    """Return the profiles of a named fleet; a client's own do not depend on how many there are."""
    shares, tiers = zip(*FLEETS[fleet], strict=True)
    rows = np.empty((num_clients, len(fields(Profiles))))
    for client in range(num_clients):
        rng = generator(seed, "profile", client)
        tier = tiers[int(np.searchsorted(np.cumsum(shares)[:-1], rng.random(), side="right"))]
        ranges = np.log([tier.flops, tier.up, tier.down])
        speeds = np.exp(ranges[:, 0] + rng.random(3) * (ranges[:, 1] - ranges[:, 0]))
        rows[client] = *speeds, tier.availability, tier.dropout, tier.jitter
    return Profiles(*rows.T.copy())


def read(file: Path, num_clients: int) -> Profiles:
    """Return the profiles of a .csv file; ValueError with line and column of what is wrong."""
    try:
        text = read_text(file, REMEDY)
    except FileNotFoundError as error:
        raise ValueError(f"system.profiles: {file} is not there; name the file") from error
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    names = [name.strip().lower() for name in next(lines, [])]
    _refuse_heading(file, names)
    found: dict[int, list[float]] = {}
    for row in lines:
        place = f"system.profiles: {file}, line {lines.line_num}"
        if not row:
            continue
        if len(row) != len(names):
            raise ValueError(f"{place}: {len(row)} values below {len(names)} columns; {REMEDY}")
        cells = dict(zip(names, row, strict=True))
        client = cells["client"].strip()
        if not (client.isascii() and client.isdecimal() and int(client) < num_clients):
            raise ValueError(
                f"{place}, column client: {quoted(client)} is no number from 0 to "
                f"{num_clients - 1}; {REMEDY}"
            )
        if int(client) in found:
            raise ValueError(f"{place}, column client: {client} stands twice; {REMEDY}")
        own = {name: _number(place, name, cells[name]) for name in LIMITS if name in cells}
        found[int(client)] = [{**USUAL, **own}[name] for name in LIMITS]
    missing = sorted(set(range(num_clients)) - found.keys())
    if missing:
        raise ValueError(
            f"system.profiles: {file} has no line for client {missing[0]}, and there are "
            f"{num_clients} clients; add {'it' if len(missing) == 1 else f'the {len(missing)}'}"
        )
    return Profiles(*np.array([found[client] for client in range(num_clients)]).T.copy())


def _refuse_heading(file: Path, names: list[str]) -> None:
    known = ["client", *LIMITS]
    for name in names:
        if name not in known or names.count(name) > 1:
            words = "stands twice" if name in known else f"is unknown{hint(name, known)}"
            raise ValueError(
                f"system.profiles: {file}, line 1: column {quoted(name)} {words}; known: "
                f"{', '.join(known)}"
            )
    for name in known:
        if name not in names and name not in USUAL:
            raise ValueError(f"system.profiles: {file}, line 1: no column {name}; add it")


def _number(place: str, column: str, text: str) -> float:
    """Return the value of a cell."""
    holds, words = LIMITS[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and holds(value)):
        raise ValueError(f"{place}, column {column}: {quoted(text)} is not {words}; {REMEDY}")
    return value
