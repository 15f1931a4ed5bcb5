"""The table a run ends with: zero-shot and the method, side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pfedmma_dist.quantities.costs import RESULTS
from pfedmma_dist.quantities.quantity import Quantity
from pfedmma_dist.quantities.scores import LOCAL, LOCAL_MEAN, scored
from pfedmma_dist.quantities.units import UNITS, duration
from pfedmma_dist.run.labels import label, printable

if TYPE_CHECKING:  # who only reads runs does without torch
    from pfedmma_dist.run.record import MethodResult

MISSING = "–"

WIDTH = 100
"""Characters of a line where no terminal says how many it has."""

SHOWN = {**UNITS, "seconds": duration}
"""As in UNITS, but for times: those of whole runs, of which nobody counts milliseconds."""

SHORT = 5
"""Characters of a line of a domain's name; six domains of any name fit into 100 characters."""


def final_table(title: str, results: Sequence[MethodResult], *, domains: bool = True) -> Table:
    """Return the table of accuracies (percent), sizes and traffic per client and round.

    domains: give each domain a column, where there are any.
    """
    shown = [q for q in _shown(key for row in results for key in row.scores) if not _is_apart(q)]
    if not domains:
        shown = [quantity for quantity in shown if not quantity.domain]
    crowded = any(quantity.domain for quantity in shown)
    costs = [quantity for quantity in RESULTS if quantity.terminal]
    table = Table(
        title=Text(printable(title), style="table.title"),
        title_justify="left",
        caption="accuracies in percent; trained, up and down count numbers per client and round",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 0 if crowded else 1, 0, 0),  # ten columns in 80 characters
    )
    table.add_column("Method", min_width=9)
    for quantity in (*shown, *costs):
        table.add_column(Text(_heading(quantity)), justify="right", no_wrap=True)
    for row in results:
        measured = (_cost(row, quantity) for quantity in costs)
        table.add_row(Text(row.name), *(_score(row, quantity) for quantity in shown), *measured)
    return table


def set_table(results: Sequence[MethodResult]) -> Table:
    """Return the accuracies with a row per data set and method and a column per scope."""
    shown = _shown(key for row in results for key in row.scores)
    own = {q.domain: [one for one in shown if one.domain == q.domain] for q in shown if q.domain}
    heads = [one.terminal for one in shown if _is_apart(one)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Data set", max_width=40)
    table.add_column("Method")
    for head in dict.fromkeys([LOCAL_MEAN.terminal, *heads]):
        table.add_column(head, justify="right")
    for name, quantities in own.items():
        for row in results:
            table.add_row(Text(label(name)), Text(row.name), *(_score(row, q) for q in quantities))
    return table


def domain_table(results: Sequence[MethodResult]) -> Table:
    """Return the accuracies with a row per domain and a column per method."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(LOCAL_MEAN.heading, max_width=40)
    for row in results:
        table.add_column(Text(row.name), justify="right")
    for quantity in _shown(key for row in results for key in row.scores):
        if quantity.domain:
            table.add_row(Text(label(quantity.domain)), *(_score(row, quantity) for row in results))
    return table


def show(title: str, results: Sequence[MethodResult]) -> None:
    """Print the final table on standard output; domains that do not fit get one of their own."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table = final_table(title, results)
    narrow = final_table(title, results, domains=False)
    if any(map(_is_apart, _shown(key for row in results for key in row.scores))):
        console.print(narrow, "", set_table(results), sep="\n")
        return
    needed = console.measure(table, options=console.options.update(max_width=10_000)).minimum
    if needed <= console.width or len(table.columns) == len(narrow.columns):
        console.print(table)
    else:
        console.print(narrow, "", domain_table(results), sep="\n")


def _shown(keys: Iterable[str]) -> list[Quantity]:
    """Return the quantities worth a column, in the order of columns.

    Own scores first, then those of domains and of other scopes and what combines them; where there
    are neither domains nor combinations, spare ones say how evenly clients are served.
    """
    found = [quantity for quantity in scored(keys) if quantity.terminal]
    if any(quantity.domain or len(quantity.of) > 1 for quantity in found):
        found = [quantity for quantity in found if not quantity.is_spare]
    return sorted(found, key=lambda quantity: (quantity.of != (LOCAL,), bool(quantity.domain)))


def _is_apart(quantity: Quantity) -> bool:
    """Say whether it is what a domain that is a data set has beside Local: a table of its own."""
    return bool(quantity.domain) and quantity.of != (LOCAL,)


def _heading(quantity: Quantity) -> str:
    return _fold(label(quantity.domain)) if quantity.domain else quantity.terminal


def _score(row: MethodResult, quantity: Quantity) -> str:
    value = row.scores.get(quantity.key)
    return MISSING if value is None else SHOWN[quantity.unit](value)


def _cost(row: MethodResult, quantity: Quantity) -> str:
    """Return the cell of a cost, over what stands below it in another unit."""
    value = getattr(row, quantity.key)
    if value is None:
        return MISSING
    text = SHOWN[quantity.unit](value)
    lower = next((other for other in RESULTS if other.key == quantity.below), None)
    return text if lower is None else f"{text}\n{_cost(row, lower)}"


def _fold(name: str) -> str:
    """Return a name in lines of at most SHORT characters and a hyphen: infograph, info-graph."""
    if cell_len(name) <= SHORT + 1:
        return name
    num_lines = -(-cell_len(name) // SHORT)
    width = -(-len(name) // num_lines)
    return "-\n".join(name[start : start + width] for start in range(0, len(name), width))
