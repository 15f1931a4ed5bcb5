"""What methods cost: numbers and bytes that a client trains and sends, and what many clients do."""

from collections.abc import Iterable

import numpy as np

from pfedmma_dist.config.merge import shown
from pfedmma_dist.results.cells import Cell, Column, Table
from pfedmma_dist.results.columns import score_columns
from pfedmma_dist.results.lines import CLIENTS, FRACTION, MODEL, Line, lines, table, telling
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.published import COST

FIRST_ROUND_ALL = "federation.first_round_all"

COSTS = (
    Column("trained", "Trained", "numbers"),
    Column("up_numbers", "Up", "numbers"),
    Column("down_numbers", "Down", "numbers"),
    Column("start_numbers", "Start", "numbers"),  # downloaded too, but the paper counts it apart
    Column("up_bytes", "Up, bytes", "bytes"),
    Column("down_bytes", "Down, bytes", "bytes"),
)

SCALING = (
    Column("round_seconds", "Round", "seconds"),
    Column("evaluate_seconds", "Scoring", "seconds"),
    Column("resident_mib", "Memory, MiB", "MiB"),
    Column("up_bytes", "Up", "bytes"),
    Column("down_bytes", "Down", "bytes"),
    Column("total_bytes", "All clients", "bytes"),
)


def cost_table(runs: Iterable[Outcome]) -> Table:
    """Return what a client trains, sends and receives in a round; no line twice.

    The numbers with which it starts a round, where a method counts them apart, have a column if
    there are any.
    """
    runs = list(runs)
    deciding = _deciding(runs)
    free = [key for key in telling(runs, apart=False) if key not in deciding]
    columns = [
        column for column in COSTS
        if column.key != "start_numbers" or any(run.final.get(column.key) for run in runs)
    ]  # fmt: skip

    def cells(line: Line) -> list[Cell]:
        final = next((run.final for run in line.runs if run.final), {})
        return [Cell(final.get(column.key)) for column in columns]

    found = lines(runs, besides=free, apart=False)
    return table("Cost, per client and round", found, columns, cells, task=COST, is_ranked=False)


def scaling_table(words: str, runs: list[Outcome]) -> Table:
    """Return accuracies beside time, memory and traffic, a row for each number of clients."""
    scores = score_columns(runs)

    def cells(line: Line) -> list[Cell]:
        own = list(line.seeds().values())
        values = [{**run.scores, **scaling(run)} for run in own]
        applicable = scores if line.is_reference else [*scores, *SCALING]
        found = [
            Cell.of([cells[column.key] for cells in values if column.key in cells], len(own))
            for column in applicable
        ]
        return [*found, *[Cell()] * (len(scores) + len(SCALING) - len(found))]

    return table(words, lines(runs), [*scores, *SCALING], cells, is_ranked=False)


def scaling(run: Outcome) -> dict[str, float]:
    """Return what a finished run took: seconds of its median round, its peak memory, its traffic.

    The first round, which also fills caches, does not move a median. {} where nothing was trained.
    """
    metrics = run.metrics() if run.final.get("trained") else {}
    if not len(metrics.get("round", ())):
        return {}
    scored = metrics["evaluate_seconds"][metrics["evaluate_seconds"] > 0]
    sent = metrics["client_up_bytes"] + metrics["client_down_bytes"]
    found = {
        "round_seconds": np.median(metrics["train_seconds"]),
        "evaluate_seconds": np.median(scored) if len(scored) else np.nan,
        "resident_mib": np.nanmax(metrics["resident_mib"]),
        "up_bytes": metrics["client_up_bytes"][-1],
        "down_bytes": metrics["client_down_bytes"][-1],
        "total_bytes": np.median(sent * taking_part(run, metrics["round"])),
    }
    return {key: float(value) for key, value in found.items() if not np.isnan(value)}


def taking_part(run: Outcome, rounds: np.ndarray) -> np.ndarray:
    """Return how many clients train in each of the rounds [R], counted from 0."""
    num_clients = int(run.config.get(CLIENTS, 1))
    later = max(int(float(run.config.get(FRACTION, 1.0)) * num_clients), 1)
    all_first = bool(run.config.get(FIRST_ROUND_ALL))
    return np.where((rounds == 0) & all_first, num_clients, later)


def _deciding(runs: list[Outcome]) -> list[str]:
    """Return keys that the costs of every row follow from, the model first and no more than needed.

    Settings that go with a data set differ as its model does; they decide nothing by themselves.
    """
    found: list[str] = []
    for key in sorted(telling(runs, apart=False), key=lambda key: key != MODEL):
        if all(len(costs) == 1 for costs in _costs(runs, found).values()):
            break
        of_values: dict[str, set] = {}
        for (row, *_), costs in _costs(runs, [key]).items():
            of_values.setdefault(row, set()).add(frozenset(costs))
        if any(len(costs) > 1 for costs in of_values.values()):
            found.append(key)
    return found


def _costs(runs: list[Outcome], keys: list[str]) -> dict[tuple, set]:
    """Return (row, values of keys) -> costs of the finished runs there."""
    found: dict[tuple, set] = {}
    for run in runs:
        if run.final:
            place = (run.name, *(shown(run.config.get(key)) for key in keys))
            costs = tuple(run.final.get(column.key) for column in COSTS)
            found.setdefault(place, set()).add(costs)
    return found
