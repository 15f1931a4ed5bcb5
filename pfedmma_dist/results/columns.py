"""Columns: which quantities of the runs have one, what it is called, and what stands in it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pfedmma_dist.config.choices import Sampling
from pfedmma_dist.quantities.catalogue import every
from pfedmma_dist.quantities.costs import ARRIVED, DROPPED, EPSILON, LATE, TAKING_PART
from pfedmma_dist.quantities.quantity import Place, Quantity, Source
from pfedmma_dist.quantities.scores import LOCAL_MEAN, scored
from pfedmma_dist.results.cells import Cell, Column
from pfedmma_dist.results.lines import CLIENTS, FRACTION, Line
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.spelling import hint

TRAINING_THERE = (ARRIVED, LATE, DROPPED)
"""What all who train in a round are, where a clock runs."""

FIRST_ROUND_ALL = "federation.first_round_all"
SAMPLING = "federation.sampling"

ALL = "all"
"""In place of keys of quantities: all that some run has a number of."""


def column(quantity: Quantity, key: str = "", title: str = "") -> Column:
    """Return the column of a quantity; key, title: where it goes by others than its own."""
    is_ranked = quantity.is_ranked
    return Column(
        key or quantity.key, title or quantity.heading, quantity.unit, quantity, is_ranked
    )


def score_columns(runs: Iterable[Outcome]) -> list[Column]:
    """Return the columns that tables have unasked; domains stand before what is over them all."""
    found = scored(key for run in runs for key in run.scores)
    found = [quantity for quantity in found if Place.TABLES in quantity.places]
    return _titled(sorted(found or [LOCAL_MEAN], key=lambda quantity: not quantity.domain))


def privacy_columns(runs: Iterable[Outcome]) -> list[Column]:
    """Return the column of epsilon, where some run has one: scores are compared at equal ones."""
    there = any(run.final.get(EPSILON.key) is not None for run in runs)
    return [column(EPSILON)] if there else []


def chosen_columns(runs: Sequence[Outcome], keys: Sequence[str]) -> list[Column]:
    """Return the columns of the quantities with these keys; ValueError for one that is none's."""
    known = {quantity.key: quantity for quantity in known_quantities(runs)}
    if list(keys) == [ALL]:
        there = {key for run in runs for key in numbers(run, known.values())}
        return _titled([quantity for key, quantity in known.items() if key in there])
    for key in keys:
        if key not in known:
            raise ValueError(
                f"--columns: {key!r} is no quantity of these runs{hint(key, known)}; "
                "--columns help lists them"
            )
    return _titled([known[key] for key in dict.fromkeys(keys)])


def known_quantities(runs: Iterable[Outcome]) -> list[Quantity]:
    """Return what there may be a column of."""
    return every(key for run in runs for key in run.scores)


def numbers(run: Outcome, quantities: Iterable[Quantity]) -> dict[str, float]:
    """Return key -> number of a run, of those of these quantities that it has."""
    quantities = list(quantities)
    rounds = _rounds(run) if any(q.source is Source.ROUNDS for q in quantities) else {}
    found = {}
    for quantity in quantities:
        if quantity.source is Source.CLIENTS:
            value = run.scores.get(quantity.key)
        elif quantity.source is Source.RESULT:
            value = run.final.get(quantity.key)
        elif set(quantity.of) <= rounds.keys():
            value = quantity.made(*(rounds[name] for name in quantity.of))
        else:
            value = None
        if value is not None and not np.isnan(value):
            found[quantity.key] = value
    return found


def line_cells(line: Line, columns: Sequence[Column], **config: Any) -> list[Cell]:
    """Return the cells of a line below columns of quantities, over the seeds that have them.

    config: only of runs with those values of keys.
    """
    quantities, runs = [column.measured for column in columns], line.seeds(**config)
    found = {seed: numbers(run, quantities) for seed, run in runs.items()}
    is_told = any(run.result is not None for run in runs.values())
    cells = []
    for q in quantities:
        values = {seed: own[q.key] for seed, own in found.items() if q.key in own}
        never = line.lacks(q) or (is_told and not values)  # another seed will not have it, either
        cells.append(Cell() if never else Cell.of(values, len(found)))
    return cells


def taking_part(run: Outcome, metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how many clients train in each of the rounds [R] of a run's metrics.csv; where each is
    drawn by itself, on average."""
    if all(quantity.column in metrics for quantity in TRAINING_THERE):
        return np.sum([metrics[quantity.column] for quantity in TRAINING_THERE], axis=0)
    rounds = metrics["round"]
    num_clients = int(run.config.get(CLIENTS, 1))
    share = float(run.config.get(FRACTION, 1.0))
    later: float = max(int(share * num_clients), 1)
    if run.config.get(SAMPLING) == Sampling.poisson.value:
        later = share * num_clients
    all_first = bool(run.config.get(FIRST_ROUND_ALL))
    return np.where((rounds == 0) & all_first, num_clients, later)


def _rounds(run: Outcome) -> dict[str, np.ndarray]:
    """Return the columns of a finished run's metrics.csv; {} where no round was."""
    metrics = {} if run.is_untrained else run.metrics()
    if not len(metrics.get("round", ())):
        return {}
    return {**metrics, TAKING_PART: taking_part(run, metrics)}


def _titled(quantities: Sequence[Quantity]) -> list[Column]:
    """Return columns that are told apart by their titles, Local as what is over all domains."""
    domains = any(quantity.domain for quantity in quantities)
    titles = {LOCAL_MEAN.key: "All"} if domains else {}
    named = [titles.get(quantity.key) or quantity.heading for quantity in quantities]
    often = Counter(named)
    return [
        column(quantity, title=name if often[name] == 1 else quantity.key)
        for quantity, name in zip(quantities, named, strict=True)
    ]
