"""Selection: which round a run reports, and what the best round on test images would add.

Rounds are counted from 1, as checkpoints are. Numbers are those of metrics.csv, as it has them, so
that a run which was stopped and went on chooses as one that never was.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pfedmma_dist.quantities.quantity import Quantity
from pfedmma_dist.quantities.scores import LOCAL_MEAN, VAL_MEAN, mean
from pfedmma_dist.quantities.units import UNITS
from pfedmma_dist.run.metrics import as_written

Numbers = Mapping[int, float]
"""Round -> a score of it, nan where nobody has one."""

CHOICES = {
    "last": "the last",
    "best_val": "the best on validation images",
    "best_test": "the best on test images, chosen by peeking",
}
"""Rule -> what the reported round is called: of evaluate.select, and of released.best_on_test."""

GOES_BY = {"best_val": VAL_MEAN, "best_test": LOCAL_MEAN}
"""Rule -> the score that it chooses by."""


def best(numbers: Numbers) -> int | None:
    """Return the round of the highest number, the first one of several; None where there is none.

    >>> best({1: 50.0, 2: 70.0, 3: 70.0})
    2
    """
    known = [index for index in sorted(numbers) if not math.isnan(numbers[index])]
    return max(known, key=numbers.__getitem__, default=None)


def wanted(numbers: Numbers, since: int) -> set[int]:
    """Return the rounds that are or were the best at round `since` or later.

    A start from a checkpoint of any of these rounds may want their state.
    """
    ends = [since, *(index for index in numbers if index > since)]
    found = (best({n: x for n, x in numbers.items() if n <= end}) for end in ends)
    return {index for index in found if index is not None}


def number(scores: Mapping[str, np.ndarray], rule: str = "best_val") -> float:
    """Return the number by which a rule chooses, of a round's scores [K]."""
    own = [scores[scope] for scope in GOES_BY[rule].of if scope in scores]
    return as_written(mean(*own)) if own and not np.isnan(own[0]).all() else math.nan


def read_numbers(table: str, rule: str = "best_val") -> dict[int, float]:
    """Return the same of the rounds of a metrics.csv."""
    rows, column = csv.DictReader(io.StringIO(table, newline="")), GOES_BY[rule].column
    return {int(row["round"]) + 1: float(row.get(column) or "nan") for row in rows}


def facts(
    rule: str,
    reported: int,
    rounds: int,
    metrics: Mapping[str, np.ndarray],
    quantities: Iterable[Quantity],
    reached: Mapping[str, float],
) -> dict[str, Any]:
    """Return what result.json says: the last round, the best by validation, the best on test.

    rule: one of CHOICES. reported: the round whose scores are the run's. metrics: columns of
    metrics.csv. quantities: those of clients' scores that have a column there. reached: all scores
    of the reported round. The best on test is
    no result: published code reports it, and its gain over honest choices is that of peeking.
    """
    columns = {q.key: metrics[q.column] for q in quantities if q.column in metrics}
    at = {int(index) + 1: place for place, index in enumerate(metrics["round"])}

    def known(index: int) -> dict[str, Any]:
        place = at.get(index)
        scores = {key: float(values[place]) for key, values in columns.items() if place is not None}
        there = {key: number for key, number in scores.items() if not math.isnan(number)}
        return {"round": index, "scores": {**there, **(reached if index == reported else {})}}

    def of_rounds(quantity: Quantity) -> dict[int, float]:
        values = columns.get(quantity.key)
        scored = {} if values is None else {index: float(values[at[index]]) for index in at}
        return {index: x for index, x in scored.items() if not math.isnan(x)}

    local, val = of_rounds(LOCAL_MEAN), of_rounds(VAL_MEAN)
    found: dict[str, Any] = {
        "rule": rule,
        "round": reported,
        "rounds_scored": len(local),
        "last": known(rounds),
    }
    if rounds not in local or len(local) < min(2, rounds):
        return found  # of the rounds before the last nothing is known
    if (chosen := best(val)) is not None:
        found["best_val"] = known(chosen)
    tested = best(local)
    assert tested is not None
    gains = {
        f"gain_over_{name}": local[tested] - local[found[name]["round"]]
        for name in CHOICES
        if name in found
    }
    return {**found, "best_test": {"peeking": True, **known(tested), **gains}}


def peeking(selection: Mapping[str, Any]) -> float | None:
    """Return what Local would gain were the best round on test images reported; None: unknown."""
    if selection["rule"] == "best_test":
        return 0.0
    return selection.get("best_test", {}).get(f"gain_over_{selection['rule']}")


def lines(selection: Mapping[str, Any]) -> Sequence[str]:
    """Return what a run's last words say of it."""
    rounds, rule = selection["last"]["round"], selection["rule"]
    told = [f"reported     round {selection['round']} of {rounds}, {CHOICES[rule]}"]
    if "best_test" not in selection:
        return [*told, "peeking      unknown: no round before the last was scored (evaluate.every)"]
    shown = UNITS[LOCAL_MEAN.unit]

    def score(name: str, quantity: Quantity) -> str:
        number = selection[name]["scores"][quantity.key]
        return f"{quantity.heading} {shown(number)} in round {selection[name]['round']}"

    if "best_val" in selection:
        told.append(f"validation   best {score('best_val', VAL_MEAN)}")
    over = "last" if rule == "best_test" else rule
    gain = f"+{shown(selection['best_test'][f'gain_over_{over}'])}"
    gain += " over the last round" if rule == "best_test" else " to what is reported"
    return [*told, f"peeking      {score('best_test', LOCAL_MEAN)}, chosen on test images: {gain}"]
