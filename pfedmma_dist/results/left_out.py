"""Left out: scores on the domain that no client has, a column for each one held out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pfedmma_dist.quantities.scores import LOCAL_MEAN, SCOPE_MEAN
from pfedmma_dist.results.cells import Column, Row, Table
from pfedmma_dist.results.lines import data_names, lines
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.trained_on import SOURCE, TARGETS, UNTRAINED, Values, cell_over

HELD_OUT = "data.held_out"
SCORE = SCOPE_MEAN.named("held_out").key

LEFT_OUT = (
    "Columns: the domain that no client had, and on whose test images all are scored; Targets: "
    "mean over them; Source: Local, mean over the same runs"
)


@dataclass
class Apart:
    """One line's runs, each without another domain."""

    name: str
    is_reference: bool
    targets: Values = field(default_factory=dict)
    sources: Values = field(default_factory=dict)
    seeds: set[Any] = field(default_factory=set)

    def add(self, domain: str, seed: Any, run: Outcome | None) -> None:
        """Take the scores of a run, or what there is of it, below the domain that it holds out."""
        self.seeds.add(seed)
        for values, key in ((self.targets, SCORE), (self.sources, LOCAL_MEAN.key)):
            if run is not None and key in run.scores:
                values.setdefault(seed, {})[domain] = run.scores[key]

    def row(self, domains: Sequence[str]) -> Row:
        """Return the cells of each domain, of their mean and of Local."""
        planned = len(self.seeds)
        each = (cell_over(self.targets, [name], planned) for name in domains)
        means = (cell_over(values, domains, planned) for values in (self.targets, self.sources))
        return Row((self.name,), (*each, *means), is_reference=self.is_reference)


def left_out(runs: Sequence[Outcome]) -> list[Table]:
    """Return a table for each data set of runs that hold a domain out."""
    apart = [run for run in runs if run.config.get(HELD_OUT) is not None]
    return [
        _one_set(words, [run for run in apart if run.data == data])
        for data, words in data_names(apart).items()
    ]


def _one_set(words: str, runs: Sequence[Outcome]) -> Table:
    domains = list(dict.fromkeys(str(run.config[HELD_OUT]) for run in runs))
    untouched, rows = Apart(UNTRAINED, True), []
    for line in lines(runs, [HELD_OUT]):
        rows.append(Apart(line.label, line.is_reference))
        for domain in domains:
            for seed, run in line.seeds(None, **{HELD_OUT: domain}).items():
                rows[-1].add(domain, seed, run)
                untouched.add(domain, seed, run.reference)
    if untouched.targets and not any(row.is_reference for row in rows):
        rows.insert(0, untouched)
    columns = (*(Column(name, name) for name in domains), TARGETS, SOURCE)
    found = tuple(row.row(domains) for row in rows)
    title = f"{words}, leave one domain out"
    return Table(title, ("Method",), columns, found, data=words, remarks=(LEFT_OUT,))
