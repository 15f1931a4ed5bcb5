"""Generalisation: what clients trained on, in rows, against what they are scored on, in columns.

Three tables, as far as the runs give them: data set by data set and domain by domain, from
evaluations of runs on whole sets, and leave one domain out, from the runs themselves.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from pfedmma_dist.quantities.scores import LOCAL_MEAN, SCOPE_MEAN
from pfedmma_dist.results.cells import Cell, Column, Row, Table
from pfedmma_dist.results.evaluations import OWN, REFERENCE, SHARED, Evaluation, evaluated
from pfedmma_dist.results.lines import Line, data_names, lines
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.tables import SAME_SCORE

Set = tuple[str, str]
"""Name and root of a data set."""

Values = dict[Any, dict[str, float]]
"""Seed -> column -> percent."""

HELD_OUT = "data.held_out"
TRAINED_ON = "Trained on"
NOTHING = "nothing"
EVERYTHING = "all domains"
ALONE = ", shared part alone"
MEAN = "mean of the rows above"
SOURCE = Column("source_mean", "Source")
TARGETS = Column("target_mean", "Targets")
GAIN = Column("target_gain", "Gain", is_ranked=False)
UNTRAINED = "zero-shot CLIP"

PROTOCOL = (
    "Every client is scored on all test images of a column, among all classes of that set; a row "
    "is the mean over the clients that trained on it"
)
DIAGONAL = (
    "Source: mean over the columns that a row has trained on; Targets: over those it has not; "
    "Gain: points of Targets over zero-shot CLIP on the same columns"
)
SHARES = (
    "A client trains on images of one domain, and what is shared on those of all that have "
    "clients: rows without sharing, or that hold a domain out, have not seen their targets"
)
LEFT_OUT = (
    "Columns: the domain that no client had, and on whose test images all are scored; Targets: "
    "mean over them; Source: Local, mean over the same runs"
)
OTHERWISE = (
    f"{UNTRAINED} is not the same beside all runs of a seed (other prompts, weights or precision); "
    "the first is shown"
)
MOST_TOLD = 5
"""Missing evaluations that remarks name."""


@dataclass(frozen=True)
class Trained:
    """The numbers of one row."""

    names: tuple[str, ...]
    sources: frozenset[str]  # columns that it has trained on
    values: Values
    planned: int  # seeds
    is_reference: bool = False

    def row(self, columns: Sequence[str], untouched: Values) -> Row:
        """Return its cells below these columns, and its means.

        untouched: zero-shot CLIP, which Gain is measured from.
        """
        cells = (*self.each(columns), *self.means(columns, untouched))
        return Row(self.names, cells, is_reference=self.is_reference)

    def each(self, columns: Sequence[str]) -> list[Cell]:
        """Return the cell of each column."""
        return [cell_over(self.values, [name], self.planned) for name in columns]

    def means(self, columns: Sequence[str], untouched: Values) -> tuple[Cell, ...]:
        """Return the cells of Source, Targets and Gain."""
        sources = [name for name in columns if name in self.sources]
        targets = [name for name in columns if name not in self.sources]
        gains = {
            seed: {
                name: found[name] - untouched[seed][name]
                for name in targets
                if name in found and name in untouched.get(seed, {})
            }
            for seed, found in self.values.items()
        }
        planned = self.planned
        return (
            cell_over(self.values, sources, planned),
            cell_over(self.values, targets, planned),
            Cell() if self.is_reference else cell_over(gains, targets, planned),
        )


@dataclass(frozen=True)
class MeanOfRows(Trained):
    """The means of rows over their own sources, and over their own targets."""

    rows: tuple[Trained, ...] = ()

    def each(self, columns: Sequence[str]) -> list[Cell]:
        """Return empty cells: a column is another row's source."""
        return [Cell()] * len(columns)

    def means(self, columns: Sequence[str], untouched: Values) -> tuple[Cell, ...]:
        """Return the means of the rows' cells, of the seeds that all of them have."""
        found = zip(*(row.means(columns, untouched) for row in self.rows), strict=True)
        return tuple(self._mean(cells) for cells in found)

    def _mean(self, cells: Sequence[Cell]) -> Cell:
        seeds = [seed for seed in cells[0].values if all(seed in cell.values for cell in cells)]
        means = {seed: fmean(cell.values[seed] for cell in cells) for seed in seeds}
        return Cell.of(means, self.planned)


def cell_over(values: Values, columns: Collection[str], planned: int) -> Cell:
    """Return the cell of each seed's mean over columns, where it has all of them."""
    if not columns:
        return Cell()
    whole = {
        seed: fmean(found[name] for name in columns)
        for seed, found in values.items()
        if all(name in found for name in columns)
    }
    return Cell.of(whole, planned)


def generalisation(outcomes: Iterable[Outcome]) -> list[Table]:
    """Return the tables that these runs and their evaluations give; ValueError where it is none."""
    runs = list(outcomes)
    known, odd = evaluated(runs)
    found = [*_left_out(runs), *_domains(runs, known), *_sets(runs, known)]
    if not found:
        raise ValueError(
            f"{runs[0].path if runs else 'no run'}: no run here was scored on another data set, "
            "nor held a domain out; python -m pfedmma_dist.evaluate RUN data.name=NAME scores one, "
            "python -m launch.score SWEEP.yaml all of a sweep"
        )
    first, *rest = found
    return [replace(first, remarks=(*first.remarks, *odd)), *rest]


def _sets(runs: Sequence[Outcome], known: Mapping[Any, Mapping[Set, Evaluation]]) -> list[Table]:
    """Return the table of data set by data set, where a run was scored on another than its own."""
    plain = [run for run in runs if run.config.get(HELD_OUT) is None]
    if all(one.is_own for run in plain for one in known[run.path].values()):
        return []
    targets = dict.fromkeys(data for run in plain for data in known[run.path])
    sources = dict.fromkeys(run.data for run in plain if known[run.path])
    called = _called([*sources, *targets])
    columns = list(dict.fromkeys(called[data] for data in [*sources, *targets] if data in targets))
    rows, untouched, missing = [], Untouched(), []
    for line in lines(plain):
        for data in sources:
            own = line.seeds(data)
            for place, words in ((OWN, called[data]), (SHARED, called[data] + ALONE)):
                values: Values = {}
                for seed, run in own.items():
                    there = known[run.path].items()
                    means = {called[to]: one.mean(place) for to, one in there}
                    values[seed] = {name: x for name, x in means.items() if x is not None}
                    untouched.add(seed, {called[to]: one.mean(REFERENCE) for to, one in there})
                if own and (place == OWN or any(values.values())):
                    source = frozenset({called[data]})
                    rows.append(Trained((line.label, words), source, values, len(own)))
            missing += _missing(own.values(), known, targets)
    return [_table("Data set by data set", rows, untouched, columns, missing)]


def _domains(runs: Sequence[Outcome], known: Mapping[Any, Mapping[Set, Evaluation]]) -> list[Table]:
    """Return a table of domain by domain for each data set that a run was scored on as its own."""
    own = {
        run.path: one
        for run in runs
        for one in known[run.path].values()
        if one.is_own and one.domains
    }
    found = []
    for data, words in data_names(run for run in runs if run.path in own).items():
        here = [run for run in runs if run.data == data]
        columns = list(dict.fromkeys(d for run in here if run.path in own
                                     for d in own[run.path].domains))  # fmt: skip
        rows, untouched = [], Untouched()
        for line in lines(here, [HELD_OUT]):
            for held_out in dict.fromkeys(run.config.get(HELD_OUT) for run in line.runs):
                seeds = line.seeds(**{HELD_OUT: held_out})
                there = {seed: own[run.path] for seed, run in seeds.items() if run.path in own}
                rows += _by_domain(line, held_out, there, len(seeds), columns)
                for seed, one in there.items():
                    untouched.add(seed, one.by_domain(REFERENCE))
        missing = _missing(here, known, [data])
        title = f"{words}, domain by domain"
        found.append(_table(title, rows, untouched, columns, [SHARES, *missing]))
    return found


def _by_domain(
    line: Line,
    held_out: str | None,
    there: Mapping[Any, Evaluation],  # by seed
    planned: int,
    columns: Sequence[str],
) -> list[Trained]:
    """Return the rows of a line: of each domain's clients where all domains have some, else of all
    clients, and of the shared part alone."""
    domains = dict.fromkeys(d for one in there.values() for d in one.facts["client_domains"])
    everywhere = EVERYTHING if held_out is None else f"all but {held_out}"
    sources = frozenset(domains or columns) - {held_out}
    rows = []
    if domains and held_out is None:
        for domain in domains:
            values = {
                seed: one.of_clients(one.facts["client_domains"].get(domain, []))
                for seed, one in there.items()
            }
            rows.append(Trained((line.label, domain), frozenset({domain}), values, planned))
        rows.append(MeanOfRows((line.label, MEAN), frozenset(), {}, planned, rows=tuple(rows)))
    else:
        values = {seed: one.by_domain(OWN) for seed, one in there.items()}
        rows.append(Trained((line.label, everywhere), sources, values, planned))
    alone = {seed: one.by_domain(SHARED) for seed, one in there.items()}
    if any(alone.values()):
        names = (line.label, everywhere + ALONE)
        rows.append(Trained(names, sources, alone, planned))
    return rows


def _left_out(runs: Sequence[Outcome]) -> list[Table]:
    """Return a table of leave one domain out for each data set of runs that do."""
    apart = [run for run in runs if run.config.get(HELD_OUT) is not None]
    found = []
    for data, words in data_names(apart).items():
        here = [run for run in apart if run.data == data]
        domains = list(dict.fromkeys(str(run.config[HELD_OUT]) for run in here))
        rows, nothing = [], ({}, {})
        for line in lines(here, [HELD_OUT]):
            targets, sources, seeds = {}, {}, set()
            for domain in domains:
                for seed, run in line.seeds(**{HELD_OUT: domain}).items():
                    seeds.add(seed)
                    beside = run.reference
                    for outcome, pair in ((run, (targets, sources)), (beside, nothing)):
                        if outcome is not None:
                            _put(outcome, seed, domain, *pair)
            rows.append((line.names, line.label, targets, sources, len(seeds), line.is_reference))
        if not any(is_reference for *_, is_reference in rows) and nothing[0]:
            rows.insert(0, ((), UNTRAINED, *nothing, len(nothing[0]), True))
        columns = tuple(Column(name, name) for name in domains)
        made = tuple(
            Row(
                (label,),
                (
                    *(cell_over(targets, [name], planned) for name in domains),
                    cell_over(targets, domains, planned),
                    cell_over(sources, domains, planned),
                ),
                is_reference=is_reference,
            )
            for _, label, targets, sources, planned, is_reference in rows
        )
        title = f"{words}, leave one domain out"
        found.append(Table(title, ("Method",), (*columns, TARGETS, SOURCE), made,
                           data=words, remarks=(LEFT_OUT,)))  # fmt: skip
    return found


def _put(run: Outcome, seed: Any, domain: str, targets: Values, sources: Values) -> None:
    """Put a run's scores on the held-out domain, and Local, below that domain."""
    for values, key in ((targets, SCOPE_MEAN.named("held_out").key), (sources, LOCAL_MEAN.key)):
        if key in run.scores:
            values.setdefault(seed, {})[domain] = run.scores[key]


def _table(
    title: str,
    rows: Sequence[Trained],
    untouched: "Untouched",
    columns: Sequence[str],
    missing: Sequence[str],
) -> Table:
    values = untouched.values
    reference = Trained((UNTRAINED, NOTHING), frozenset(), values, len(values), True)
    heads = (*(Column(name, name) for name in columns), SOURCE, TARGETS, GAIN)
    found = tuple(one.row(columns, values) for one in (reference, *rows))
    remarks = (PROTOCOL, DIAGONAL, *untouched.told, *missing)
    return Table(title, ("Method", TRAINED_ON), heads, found, remarks=remarks, is_ranked=False)


class Untouched:
    """Zero-shot scores beside the runs, which should be the same beside all of a seed."""

    def __init__(self) -> None:
        self.values: Values = {}
        self.told: list[str] = []

    def add(self, seed: Any, scores: Mapping[str, float]) -> None:
        """Take what stands beside one run; where another says otherwise, the first counts."""
        own = self.values.setdefault(seed, {})
        for name, value in scores.items():
            if abs(own.setdefault(name, value) - value) >= SAME_SCORE:
                self.told = [OTHERWISE]


def _called(sets: Iterable[Set]) -> dict[Set, str]:
    """Return what each data set is called, as `data_names` does."""
    return data_names(
        Outcome(path=Path(), config={"data.name": name, "data.root": root}) for name, root in sets
    )


def _missing(
    runs: Iterable[Outcome], known: Mapping[Any, Mapping[Set, Evaluation]], targets: Iterable[Set]
) -> list[str]:
    """Say which finished runs were not scored on which sets, and what scores them."""
    due = [
        f"`python -m pfedmma_dist.evaluate {run.path} --cross{_words(run, data)}` is to be run: "
        f"no scores on {data[0]}"
        for run in runs
        if run.result is not None
        for data in targets
        if data not in known[run.path]
    ]
    more = len(due) - MOST_TOLD
    return [*due[:MOST_TOLD], *([f"And {more} more runs of evaluate"] if more > 0 else [])]


def _words(run: Outcome, data: Set) -> str:
    """Return what names a data set to an evaluation of a run."""
    name, root = data
    return "" if data == run.data else f" data.name={name} data.root={root}"
