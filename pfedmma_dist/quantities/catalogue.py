"""The catalogue: every quantity of a run, and what its rounds have of them."""

from collections.abc import Iterable, Mapping

import numpy as np

from pfedmma_dist.quantities import costs
from pfedmma_dist.quantities.quantity import Place, Quantity, Source
from pfedmma_dist.quantities.scores import LOCAL, PEEKING, scores, scores_beside, summary

Number = int | float | None


def every(keys: Iterable[str]) -> list[Quantity]:
    """Return all quantities of runs whose result.json have scores under these keys."""
    return [
        *scores_beside(keys),
        PEEKING,
        *costs.RESULTS,
        costs.DELTA,
        *costs.TRAINING,
        *costs.TIMES,
        *costs.TRAFFIC,
        *costs.CLOCK,
    ]


def of_rounds(scopes: Iterable[str], domains: Iterable[str] = ()) -> list[Quantity]:
    """Return the quantities of single rounds, in the order of the columns of metrics.csv."""
    own = scores(scopes, domains)
    found = [*costs.TRAINING, *costs.TIMES, *own, *costs.TRAFFIC, *costs.CLOCK]
    return [quantity for quantity in found if quantity.column]


def over_rounds() -> list[Quantity]:
    """Return the quantities of any run that have a picture over rounds in those of sweeps."""
    return [entry for entry in of_rounds([LOCAL]) if Place.SWEEP_FIGURES in entry.places]


def numbers_of_round(
    measured: Mapping[str, Number],  # column -> number, of what it cost
    scores_of: Mapping[str, np.ndarray],  # scope -> [K] percent; {}: not scored
    domains: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Number]:
    """Return column of metrics.csv -> number of a round, of those that it has."""
    reached = summary(scores_of, domains)
    return {
        quantity.column: reached[quantity.key]
        if quantity.source is Source.CLIENTS
        else measured[quantity.column]
        for quantity in of_rounds(scores_of, domains or ())
        if quantity.key in reached or quantity.column in measured
    }


def round_line(measured: Mapping[str, Number], scores_of: Mapping[str, np.ndarray]) -> list[str]:
    """Return what is said of a round in one line: what it reached, then what it took."""
    numbers = numbers_of_round(measured, scores_of)
    ordered = [*costs.TRAINING, *scores(scores_of), *costs.TIMES, *costs.TRAFFIC, *costs.CLOCK]
    return [
        quantity.line.format(numbers[quantity.column])
        for quantity in ordered
        if quantity.line and numbers.get(quantity.column) is not None
    ]
