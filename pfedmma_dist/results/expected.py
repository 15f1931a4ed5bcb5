"""Expected: the papers' figures with their bands and statuses, as configs/reproduce has them.

They are the only place of published figures: tables that show them beside one's own (published.py)
and verdicts on one's own (reproduced.py) read them there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from pfedmma_dist.config.built import merged
from pfedmma_dist.config.documents import read_layer
from pfedmma_dist.config.kinds import EXPECTATIONS, refuse_other_kind
from pfedmma_dist.config.presets import find, installed
from pfedmma_dist.spelling import hint, quoted

FOLDER = "reproduce"
"""Of configs/: one file for each of the papers' experiments."""


class Status(Enum):
    """What may be asked of a figure."""

    expected = "expected"
    cannot = "cannot"
    unknown = "unknown setting"


@dataclass(frozen=True)
class Band:
    """How far from a published figure ours may be, and why so far."""

    points: float
    why: str

    def holds(self, difference: float) -> bool:
        """Whether a difference lies inside, its edge included; ours has more digits than theirs."""
        return abs(difference) <= self.points + 1e-9


@dataclass(frozen=True)
class Figure:
    """One published number."""

    method: str  # as the paper calls it; empty where it is not known whose it is
    data: str | None  # a data set, or `average` or `cost`; None: not known
    column: str
    value: float
    band: Band | None  # None: it is not known whose it is, so nothing is held to it
    status: Status
    reason: str  # why it cannot be, or what is unknown; empty of what is expected
    derived: bool = False  # ours, from printed figures, and not printed itself

    @property
    def told(self) -> str:
        """Return status and reason as the file has them."""
        return f"{self.status.value}: {self.reason}" if self.reason else self.status.value


@dataclass(frozen=True)
class Switch:
    """What the released code does otherwise, the words that bring it back, and what it moved."""

    words: str  # of a command line
    shared: float | None = None  # in the authors' own loop, of the shared part's norm
    moved: float | None = None  # and of how far that had moved
    points: Mapping[str, float] = field(default_factory=dict)  # column -> on the embedded world

    def told(self, column: str) -> str:
        """Say what was measured of it, in a column."""
        parts = []
        if column in self.points:
            parts.append(f"{self.points[column]:+.2f} points on the embedded world")
        if self.shared is not None:
            parts.append(f"{self.shared:g} of the shared part in five rounds of the authors' loop")
        return f"{self.words} ({'; '.join(parts)})" if parts else self.words


@dataclass(frozen=True)
class Names:
    """The rows of the two sweeps that stand for a method of the paper."""

    here: tuple[str, ...]  # of the sweep by one recipe for all
    as_published: tuple[str, ...]  # of the sweep by the released recipes


@dataclass(frozen=True)
class Expectations:
    """All that is known of one of the paper's tables."""

    experiment: str
    source: str
    sweeps: tuple[str, str]  # by one recipe, by the released ones
    words: tuple[tuple[str, ...], tuple[str, ...]]  # of every run of each
    sets: tuple[str, ...]  # of the table, which its average is over
    columns: tuple[str, ...]
    methods: Mapping[str, Names]
    beside: tuple[str, ...]  # further rows of the first sweep, of no paper
    figures: tuple[Figure, ...]
    switches: Mapping[str, tuple[Switch, ...]]  # method -> its switches
    absent: tuple[str, ...]

    def rows(self, method: str, *, as_published: bool) -> tuple[str, ...]:
        """Return the rows of one of the sweeps that stand for a method."""
        names = self.methods[method]
        return names.as_published if as_published else names.here

    @property
    def attributed(self) -> tuple[Figure, ...]:
        """Return the figures of which it is known whose they are."""
        return tuple(figure for figure in self.figures if figure.method)


@dataclass(kw_only=True)
class _File:
    """What a file of configs/reproduce holds."""

    experiment: str
    source: str
    sweep: str
    sweep_as_published: str
    words: list[str] = field(default_factory=list)
    words_as_published: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    beside: list[str] = field(default_factory=list)
    bands: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)
    unattributed: list[dict[str, Any]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    switches: dict[str, dict[str, Any]] = field(default_factory=dict)


def experiments() -> list[str]:
    """Return the names of the experiments that there are expectations of."""
    return sorted(path.stem for path in (installed() / FOLDER).glob("*.yaml"))


@cache
def expectations(name: str) -> Expectations:
    """Return what is expected of an experiment, by its name or the path of a file of one's own."""
    path = find(f"configs/{FOLDER}/{name}.yaml") or find(name)
    if path is None:
        known = experiments()
        raise ValueError(
            f"there are no expectations of {quoted(name)}{hint(name, known)}; give one of "
            f"{', '.join(known)}, or a file such as configs/{FOLDER}/{known[0]}.yaml"
        )
    return _read(path)


def published_figures() -> list[tuple[Expectations, Figure]]:
    """Return all figures of the files that came with us."""
    every = [expectations(name) for name in experiments()]
    return [(one, figure) for one in every for figure in one.figures]


def _read(path: Path) -> Expectations:
    layer = replace(read_layer(path), source=str(path))
    refuse_other_kind(path, layer.tree, EXPECTATIONS)
    file = merged(_File, [layer])
    bands = {
        name: Band(float(own["points"]), " ".join(str(own["from"]).split()))
        for name, own in file.bands.items()
    }
    found = []
    for cell in file.cells:
        band = bands.get(cell.get("band", ""))
        where = f"{path}: cells of {cell.get('method')} on {cell.get('data')}"
        if band is None:
            raise ValueError(
                f"{where}: band {quoted(cell.get('band'))}{hint(str(cell.get('band')), bands)}; "
                f"give one of {', '.join(bands)}"
            )
        if cell.get("method") not in file.methods:
            raise ValueError(f"{where}: no such method; give one of {', '.join(file.methods)}")
        status, reason = _status(cell.get("status"), where)
        found += [
            Figure(
                cell["method"], cell["data"], column, value, band, status, reason,
                bool(cell.get("derived", False)),
            )
            for column, value in cell["values"].items()
        ]  # fmt: skip
    for cell in file.unattributed:
        status, reason = _status(cell.get("status"), f"{path}: unattributed {cell.get('column')}")
        found += [
            Figure("", None, cell["column"], value, None, status, reason,
                   bool(cell.get("derived", False)))
            for value in cell["values"]
        ]  # fmt: skip
    return Expectations(
        experiment=file.experiment,
        source=file.source,
        sweeps=(file.sweep, file.sweep_as_published),
        words=(tuple(file.words), tuple(file.words_as_published)),
        sets=tuple(file.sets),
        columns=tuple(file.columns),
        methods={
            name: Names(tuple(own["here"]), tuple(own["as_published"]))
            for name, own in file.methods.items()
        },
        beside=tuple(file.beside),
        figures=tuple(found),
        switches={
            method: tuple(_switch(words, own) for words, own in told.items())
            for method, told in file.switches.items()
        },
        absent=tuple(file.absent),
    )


def _status(words: Any, where: str) -> tuple[Status, str]:
    """Return a status and its reason: `expected`, `cannot: why`, `unknown setting: which`."""
    name, _, reason = " ".join(str(words).split()).partition(": ")
    known = {status.value: status for status in Status}
    if name not in known:
        raise ValueError(
            f"{where}: status {quoted(words)}{hint(name, known)}; write one of {', '.join(known)}, "
            "a reason behind a colon"
        )
    status = known[name]
    if bool(reason) == (status is Status.expected):
        raise ValueError(
            f"{where}: status {quoted(words)}; what is expected has no reason, and whatever is not "
            "has one, behind a colon"
        )
    return status, reason


def _switch(words: str, own: Mapping[str, Any]) -> Switch:
    points = {
        key: float(value)
        for key, value in own.items()
        if key not in ("loop", "defect", "shared", "moved")
    }
    return Switch(words, own.get("shared"), own.get("moved"), points)
