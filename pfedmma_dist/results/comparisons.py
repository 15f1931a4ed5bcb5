"""Draw tables: a point, a polygon or a line for each of their rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pfedmma_dist.quantities.units import size
from pfedmma_dist.results.cells import Cell, Column, Row, Table
from pfedmma_dist.results.style import Look, legend, looks
from pfedmma_dist.run.drawing import finish, legend_label, new_figure, steady
from pfedmma_dist.run.labels import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE: dict[str, Any] = {
    "color": "white", "marker": "X", "markersize": 12, "markeredgecolor": "black",
    "linestyle": "none",
}  # fmt: skip
"""The cross of what trains nothing."""

LOGARITHMIC: dict[str, tuple[dict[str, Any], Callable[[float, int], str]]] = {
    "bytes": ({"base": 2, "numticks": 7}, lambda value, _: size(value)),
    "seconds": ({"base": 10, "subs": (1, 2, 5)}, lambda value, _: f"{value:g}"),
}
"""Unit -> ticks of its logarithmic axis, and their words."""


def row_label(table: Table, row: Row, but: str = "") -> str:
    """Return what a legend calls a row: its name, and what tells it apart except below `but`."""
    further = list(zip(table.heads, row.names, strict=True))[1:]
    told = [f"{head.lower()} {text}" for head, text in further if text and head != but]
    return ", ".join([row.names[0], *told])


def trade_off(table: Table, x: str, y: str, styles: Mapping[str, Look]) -> "Figure":
    """Draw a point for each row: one mean against another, with deviations as error bars.

    x, y: keys of columns. styles: row -> look.
    """
    figure = new_figure(6.0, 5.0)
    axes = figure.subplots()
    left, right = (_place(table, key) for key in (x, y))
    for row in table.rows:
        first, second = row.cells[left], row.cells[right]
        if first.mean is None or second.mean is None:
            continue
        if row.is_reference:
            look = REFERENCE
        else:
            style = styles[row_label(table, row)]
            look = {**style.line, "linestyle": "none", "markersize": 9}
        axes.errorbar(
            first.mean, second.mean, xerr=first.deviation, yerr=second.deviation,
            ecolor=look["color"] if not row.is_reference else "black",
            elinewidth=1.1, capsize=3, label=legend_label(row_label(table, row)), **look,
        )  # fmt: skip
    axes.margins(0.12)
    finish(axes, *(_label(table.columns[place]) for place in (left, right)))
    steady(axes)
    legend(figure, table.title)
    return figure


def everywhere(tables: Sequence[Table], key: str) -> dict[str, tuple[Row, list[float]]]:
    """Return the rows that have a mean in every table: label -> one of the rows, and the means."""
    found = {}
    for row in tables[0].rows:
        cells = [_cell(table, row_label(tables[0], row), key) for table in tables]
        means = [cell.mean for cell in cells if cell is not None and cell.mean is not None]
        if len(means) == len(tables):
            found[row_label(tables[0], row)] = (row, means)
    return found


def radar(
    names: Sequence[str],  # of the data sets
    rows: Mapping[str, tuple[Row, list[float]]],  # of `everywhere`
    title: str,
    styles: Mapping[str, Look],
) -> "Figure":
    """Draw a polygon for each row, the data sets round a circle."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(6.4, 6.0)
    axes: Any = figure.subplots(subplot_kw={"projection": "polar"})  # which turn, as others do not
    angles = np.linspace(0.0, 2.0 * np.pi, len(names), endpoint=False)
    for name, (row, means) in rows.items():
        dashed = {"color": "black", "linewidth": 0.9, "dashes": (10, 5)}
        look = dashed if row.is_reference else styles[name].line
        axes.plot([*angles, angles[0]], [*means, means[0]], label=legend_label(name), **look)
    low, high = (pick(pick(means) for _, means in rows.values()) for pick in (min, max))
    # From below the lowest, not from zero, or all polygons would be the same circle.
    axes.set_ylim(max(0.0, low - 0.35 * max(high - low, 5.0)), high + 0.05 * (high - low))
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_rlabel_position(180.0 / len(names))
    axes.set_xticks(angles, list(map(label, names)))
    axes.tick_params(axis="x", pad=12)
    axes.tick_params(axis="y", labelsize="small", labelcolor="0.35")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(color="0.88", linewidth=0.6)
    axes.spines["polar"].set_visible(False)
    legend(figure, title)
    return figure


def scaling(table: Table, clients: str, keys: Sequence[str]) -> "Figure":
    """Draw four columns over the number of clients, each in axes of its own.

    clients: the head of the number of clients; rows equal but for it are one line. keys: of the
    columns.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    place = table.heads.index(clients)
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.names[place] and not row.is_reference:
            groups.setdefault(row_label(table, row, but=clients), []).append(row)
    styles = looks(groups)
    figure = new_figure(8.4, 6.6)
    for axes, key in zip(figure.subplots(2, 2).flat, keys, strict=True):
        column = table.columns[_place(table, key)]
        for name, rows in groups.items():
            points = [
                (float(row.names[place]), cell.mean, cell.deviation or 0.0)
                for row in rows
                if (cell := row.cells[_place(table, key)]).mean is not None
                and (cell.mean > 0 or column.unit not in LOGARITHMIC)
            ]
            if points:
                x, y, spread = zip(*sorted(points), strict=True)
                bars = spread if any(spread) else None
                axes.errorbar(x, y, yerr=bars, label=legend_label(name), **styles[name].line)
        ticks = sorted({float(row.names[place]) for rows in groups.values() for row in rows})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        if column.unit == "MiB":
            axes.set_ylim(
                0, 1.1 * axes.get_ylim()[1]
            )  # or a few MiB more would look like a multiple
        if column.unit in LOGARITHMIC:
            steps, words = LOGARITHMIC[column.unit]
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(**steps))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(words))
        finish(axes, "clients", _label(column))
    legend(figure, table.title)
    return figure


def _label(column: Column) -> str:
    """Return the words beside an axis, under the title that the column has in this table."""
    return f"{column.title} accuracy (%)" if column.unit == "percent" else column.label


def _place(table: Table, key: str) -> int:
    return [column.key for column in table.columns].index(key)


def _cell(table: Table, label: str, key: str) -> Cell | None:
    """Return the cell of a row below a column, None where the table lacks one of them."""
    if key not in [column.key for column in table.columns]:
        return None
    found = [row for row in table.rows if row_label(table, row) == label]
    return found[0].cells[_place(table, key)] if found else None
