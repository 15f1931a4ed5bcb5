"""Generalisation: what clients trained on, in rows, against what they are scored on, in columns.

Three tables, as far as the runs give them: data set by data set and domain by domain, from
evaluations of runs on whole sets, and leave one domain out, from the runs themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pfedmma_dist.results.cells import Table
from pfedmma_dist.results.evaluations import OWN, REFERENCE, SHARED, Evaluation, Set, evaluated
from pfedmma_dist.results.left_out import HELD_OUT, left_out
from pfedmma_dist.results.lines import Line, data_names, lines
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.trained_on import MeanOfRows, Trained, Untouched, Values, across

EVERYTHING = "all domains"
ALONE = ", shared part alone"
MEAN = "mean of the rows above"

SHARES = (
    "A client trains on images of one domain, and what is shared on those of all that have "
    "clients: rows without sharing, or that hold a domain out, have not seen their targets; "
    "clients that all hold the same numbers are one row"
)
MOST_TOLD = 5
"""Missing evaluations that remarks name."""


def generalisation(outcomes: Iterable[Outcome]) -> list[Table]:
    """Return the tables that these runs and their evaluations give; ValueError where it is none."""
    runs = list(outcomes)
    known, odd = evaluated(runs)
    found = [*left_out(runs), *_domains(runs, known), *_sets(runs, known)]
    if not found:
        raise ValueError(
            f"{runs[0].path if runs else 'no run'}: no run here was scored on another data set, "
            "nor held a domain out; python -m pfedmma_dist.evaluate RUN data.name=NAME scores one, "
            f"python -m launch.score SWEEP.yaml all of a sweep{''.join(f'; {x}' for x in odd)}"
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
                    beside = {called[to]: one.mean(REFERENCE) for to, one in there}
                    untouched.add(seed, {to: x for to, x in beside.items() if x is not None})
                if own and (place == OWN or any(values.values())):
                    source = frozenset({called[data]})
                    rows.append(Trained((line.label, words), source, values, len(own)))
            missing += _missing(own.values(), known, targets)
    return [across("Data set by data set", rows, untouched, columns, missing)]


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
        found.append(across(title, rows, untouched, columns, [SHARES, *missing], words))
    return found


def _by_domain(
    line: Line,
    held_out: str | None,
    there: Mapping[Any, Evaluation],  # by seed
    planned: int,
    columns: Sequence[str],
) -> list[Trained]:
    """Return the rows of a line: of each domain's clients where all domains have some and these
    differ, else of all clients, and of the shared part alone."""
    domains = dict.fromkeys(d for one in there.values() for d in one.facts["client_domains"])
    everywhere = EVERYTHING if held_out is None else f"all but {held_out}"
    sources = frozenset(domains or columns) - {held_out}
    rows = []
    differ = not all(one.facts["is_uniform"] for one in there.values())
    if domains and held_out is None and differ:
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
