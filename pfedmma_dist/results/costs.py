"""What methods cost: numbers and bytes that a client trains and sends, and what many clients do."""

from collections.abc import Iterable

from pfedmma_dist.config.merge import shown
from pfedmma_dist.quantities import costs
from pfedmma_dist.results.cells import Cell, Table
from pfedmma_dist.results.columns import column, line_cells, score_columns
from pfedmma_dist.results.lines import MODEL, Line, lines, table, telling
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.published import COST

COSTS = tuple(column(quantity) for quantity in costs.RESULTS if quantity is not costs.RUN_SECONDS)

SCALING = (
    column(costs.ROUND_SECONDS),
    column(costs.EVALUATE_SECONDS),
    column(costs.RESIDENT_MIB),
    column(costs.CLIENT_UP_BYTES, key="up_bytes"),
    column(costs.CLIENT_DOWN_BYTES, key="down_bytes"),
    column(costs.TOTAL_BYTES),
)
"""Beside the accuracies of many clients; the keys are what programs that read the CSV know."""


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
        if column.key != costs.START_NUMBERS.key or any(run.final.get(column.key) for run in runs)
    ]  # fmt: skip

    def cells(line: Line) -> list[Cell]:
        finals = [run.final for run in line.runs if run.final]
        keys = [column.key for column in columns]
        if not finals:
            return [Cell()] * len(keys)
        return [
            Cell(finals[0].get(key), num=sum(own.get(key) == finals[0].get(key) for own in finals))
            for key in keys
        ]

    found = lines(runs, besides=free, apart=False)
    return table("Cost, per client and round", found, columns, cells, task=COST, is_ranked=False)


def scaling_table(words: str, runs: list[Outcome]) -> Table:
    """Return accuracies beside time, memory and traffic, a row for each number of clients."""
    columns = [*score_columns(runs), *SCALING]

    def cells(line: Line) -> list[Cell]:
        found = line_cells(line, columns)
        if line.is_reference:  # it took no round
            found[-len(SCALING) :] = [Cell()] * len(SCALING)
        return found

    return table(words, lines(runs), columns, cells, is_ranked=False)


def _deciding(runs: list[Outcome]) -> list[str]:
    """Return keys that the costs of every row follow from, the model first and no more than needed.

    Settings that go with a data set differ as its model does; they decide nothing by themselves.
    """
    found: list[str] = []
    for key in sorted(telling(runs, apart=False), key=lambda key: key != MODEL):
        if all(len(costs) == 1 for costs in _costs(runs, found).values()):
            break
        of_values: dict[str, set] = {}
        for (row, *_), found_there in _costs(runs, [key]).items():
            of_values.setdefault(row, set()).add(frozenset(found_there))
        if any(len(there) > 1 for there in of_values.values()):
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
