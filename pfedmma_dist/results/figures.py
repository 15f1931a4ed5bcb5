"""Which pictures runs give: drawn side by side, or skipped with the reason.

Pictures are named after what they show, the data set and the experiment. What trains nothing is
black in all of them: a line across, or a cross.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.quantities.catalogue import over_rounds as over_rounds_quantities
from pfedmma_dist.quantities.costs import RESIDENT_MIB, ROUND_SECONDS, TOTAL_BYTES
from pfedmma_dist.quantities.scores import HM, LOCAL_MEAN
from pfedmma_dist.reading import Unreadable
from pfedmma_dist.results.cells import Column, Table
from pfedmma_dist.results.clients import ascending_local
from pfedmma_dist.results.comparisons import everywhere, radar, row_label, scaling, trade_off
from pfedmma_dist.results.curves import curve, over_bytes, over_clients, over_rounds, over_seconds
from pfedmma_dist.results.lines import CLIENTS, Line, data_names, head, lines
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.published import AVERAGE, COST
from pfedmma_dist.results.style import Look, looks
from pfedmma_dist.results.tables import spoken, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CROWD = 10
"""Lines that are told apart in one panel; more are shown in a panel for each setting."""

MOST_PANELS = 12

LEAST_AXES = 3
"""Data sets without which a radar is no shape."""

SCALED = tuple(q.key for q in (LOCAL_MEAN, ROUND_SECONDS, RESIDENT_MIB, TOTAL_BYTES))


@dataclass(frozen=True)
class Picture:
    """One picture, or why there is none."""

    name: str
    draw: Callable[[], "Figure"] | None = field(default=None, repr=False)
    reason: str = ""


def pictures(outcomes: Iterable[Outcome]) -> Iterator[Picture]:
    """Yield the pictures of these runs, those that they do not give with the reason."""
    runs = list(outcomes)
    names = data_names(runs)
    arranged = [table for table in tables(runs) if table.task != COST]
    trained = [line for line in lines(runs) if not line.is_reference]
    shown = (row_label(t, row) for t in arranged for row in t.rows if not row.is_reference)
    styles = looks([*(line.names[0] for line in trained), *shown])
    for task, data in dict.fromkeys((run.task, run.data) for run in runs):
        here = [run for run in runs if (run.task, run.data) == (task, data)]
        words = f"{names[data]}, {spoken(task)}"
        yield from _curves(words, f"{names[data]}-{task}", here, styles)
    for table in arranged:
        end = f"{table.data}-{table.task}"
        yield _trade_off(table, f"trade_off-{end}", styles)
        if table.data != AVERAGE:
            yield _scaling(table, f"scaling-{end}")
    for task in dict.fromkeys(table.task for table in arranged):
        own = [table for table in arranged if table.task == task and table.data != AVERAGE]
        yield _radar(own, task, styles)


def _curves(
    words: str, end: str, runs: list[Outcome], styles: Mapping[str, Look]
) -> Iterator[Picture]:
    """Yield the quantities that say so over rounds, and Local over bytes."""
    trained = [line for line in lines(runs) if not line.is_reference]
    for quantity in over_rounds_quantities():
        found = [line for line in trained if curve(line, quantity)]
        panels, look, reason = _arranged(found, styles)
        curves = [each for line in found if (each := curve(line, quantity))]
        single = curves and all(len(each.rounds) == 1 for each in curves)
        reason = reason or ("only one round was scored; see evaluate.every" if single else "")
        kind = "accuracy" if quantity is LOCAL_MEAN else quantity.key
        draw = partial(over_rounds, words, panels, look, quantity)
        yield Picture(f"{kind}_over_rounds-{end}", None if reason else draw, reason)
    usual = [(line, each) for line in trained if (each := curve(line))]
    found = [line for line, _ in usual]
    panels, look, reason = _arranged(found, styles)
    if not reason and not any(each.sent[-1] for _, each in usual):
        reason = "nothing was sent"
    draw = partial(over_bytes, words, panels, look)
    yield Picture(f"bytes_to_accuracy-{end}", None if reason else draw, reason)
    timed = [line for line, each in usual if not np.isnan(each.clock).any()]
    if timed:  # what ran without a clock has no place in it
        panels, look, reason = _arranged(timed, styles)
        draw = partial(over_seconds, words, panels, look)
        yield Picture(f"time_to_accuracy-{end}", None if reason else draw, reason)
    yield _sorted_clients(words, f"accuracy_per_client-{end}", trained, styles)


def _sorted_clients(
    words: str, name: str, trained: Sequence[Line], styles: Mapping[str, Look]
) -> Picture:
    """Return Local of each client, sorted, methods beside each other."""
    several = [line for line in trained if not line.is_alone]
    found: dict[tuple[str, ...], np.ndarray] = {}
    for line in several:
        try:
            found[line.names] = ascending_local(line.seeds().values())
        except Unreadable as error:
            return Picture(name, reason=str(error))
    several = [line for line in several if len(found[line.names])]
    panels, look, reason = _arranged(several, styles)
    reason = "no run of several clients has finished" if not several else reason
    draw = partial(over_clients, words, panels, look, lambda line: found[line.names])
    return Picture(name, None if reason else draw, reason)


def _arranged(
    found: Sequence[Line], styles: Mapping[str, Look]
) -> tuple[dict[str, list[Line]], Callable[[Line], tuple[str, Look]], str]:
    """Return the panels of lines, name and look of each, and why they cannot be drawn."""
    panels = _panels(found)
    in_panels = len(panels) > 1
    styles = styles if in_panels else {**looks(line.label for line in found), **styles}

    def look(line: Line) -> tuple[str, Look]:
        name = line.names[0] if in_panels else line.label
        return name, styles[name]

    reason = "" if found else "no round was scored"
    if len(panels) > MOST_PANELS:
        reason = f"its {len(panels)} settings do not fit into one picture; name fewer runs"
    return panels, look, reason


def _panels(found: Sequence[Line]) -> dict[str, list[Line]]:
    """Return the lines in one panel or, where they are many, in one for each setting."""
    if len(found) <= CROWD:
        return {"": list(found)}
    panels: dict[str, list[Line]] = {}
    for line in found:
        panels.setdefault(line.setting, []).append(line)
    return panels


def _trade_off(table: Table, name: str, styles: Mapping[str, Look]) -> Picture:
    """Return Local against what stands furthest from it: Novel, or everybody's test images."""
    if head(CLIENTS) in table.heads:
        return Picture(name, reason="its rows differ in the number of clients; see scaling")
    keys = [column.key for column in table.columns]
    others = [column.key for column in table.columns if _is_of_another_scope(column)]
    if LOCAL_MEAN.key not in keys or not others:
        return Picture(name, reason="Local and one more score need columns of their own")
    both = [keys.index(LOCAL_MEAN.key), keys.index(others[-1])]
    there = [row for row in table.rows if all(row.cells[i].mean is not None for i in both)]
    if not there:
        return Picture(name, reason="no run has finished")
    return Picture(name, lambda: trade_off(table, LOCAL_MEAN.key, others[-1], styles))


def _is_of_another_scope(column: Column) -> bool:
    quantity = column.quantity
    return quantity is not None and len(quantity.of) == 1 and quantity.of != LOCAL_MEAN.of


def _scaling(table: Table, name: str) -> Picture:
    clients = head(CLIENTS)
    if clients not in table.heads:
        return Picture(name, reason="all runs have one number of clients")
    return Picture(name, lambda: scaling(table, clients, SCALED))


def _radar(own: Sequence[Table], task: str, styles: Mapping[str, Look]) -> Picture:
    """Return HM, or Local where there is none, round the data sets."""
    name = f"radar-{task}"
    if len(own) < LEAST_AXES:
        return Picture(name, reason=f"{len(own)} of the {LEAST_AXES} data sets it takes")
    for quantity in (HM, LOCAL_MEAN):
        found = everywhere(own, quantity.key)
        if found:
            words = f"{quantity.heading} (%), {spoken(task)}"
            names = [table.data for table in own]
            return Picture(name, partial(radar, names, found, words, styles))
    return Picture(name, reason="no line has finished on all data sets")
