"""Heat: a matrix of train rows and test columns drawn, a panel for each method."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.results.cells import Row, Table
from pfedmma_dist.results.trained_on import GAIN, SOURCE, TARGETS, TRAINED_ON
from pfedmma_dist.run.drawing import new_figure
from pfedmma_dist.run.labels import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

ACROSS = 3
"""Panels beside each other."""

MOST = 24
"""Panels of one figure; those of further methods would be too small to read."""

LEAST_SPAN = 1.0
"""Points at which colour is full, where differences are smaller still."""


def heat(table: Table) -> "Figure":
    """Draw a table of `generalisation`: accuracies in numbers, points over zero-shot CLIP in
    colour. ValueError where it has too many methods for a page."""
    kept = [place for place, each in enumerate(table.columns) if each not in (SOURCE, GAIN)]
    titles = [table.columns[place].title for place in kept]
    panels = _panels(table, kept)
    if len(panels) > MOST:
        raise ValueError(
            f"{table.title}: {len(panels)} methods do not fit into one figure, at most {MOST} do; "
            "name fewer runs"
        )
    reference = next((row for row in table.rows if row.is_reference), None)
    beside = _percent([reference], kept)[0] if reference else np.full(len(kept), np.nan)
    gains = {name: _gains(table, [*rows.values()], kept, beside) for name, rows in panels.items()}
    span = max([LEAST_SPAN, *(np.nanmax(np.abs(x), initial=0.0) for x in gains.values())])
    width, height = _size(panels, len(kept))
    figure = new_figure(width, height)
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    grid = figure.subplots(down, across, squeeze=False).flatten()
    for axes, (name, rows) in zip(grid, panels.items(), strict=False):
        shown = _panel(axes, _percent([*rows.values()], kept), gains[name], span)
        axes.set_title(label(name), fontsize="small")
        axes.set_xticks(range(len(kept)), map(label, titles), rotation=45, ha="right",
                        fontsize="x-small")  # fmt: skip
        axes.set_yticks(range(len(rows)), map(label, rows), fontsize="x-small")
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.colorbar(shown, ax=list(grid), label="points over zero-shot CLIP", shrink=0.6)
    figure.suptitle(f"{table.title}: accuracy (%), rows trained on, columns scored on"
                    if TRAINED_ON in table.heads else f"{table.title}: accuracy (%)",
                    fontsize="medium")  # fmt: skip
    return figure


def _panels(table: Table, kept: Sequence[int]) -> dict[str, dict[str, Row]]:
    """Return name and row of each panel's lines that have a number, zero-shot CLIP first: those of
    a method, or of all methods that have trained on the same and on nothing else."""
    if TRAINED_ON not in table.heads:
        return {"": {row.names[0]: row for row in table.rows}}
    first = {row.names[-1]: row for row in table.rows if row.is_reference}
    found: dict[str, dict[str, Row]] = {}
    for row in table.rows:
        if not row.is_reference and any(row.cells[place].mean is not None for place in kept):
            found.setdefault(row.names[0], {})[row.names[-1]] = row
    alike: dict[str, dict[str, Row]] = {}
    for method, rows in found.items():
        if len(rows) == 1:
            [(name, row)] = rows.items()
            alike.setdefault(f"trained on {name}", {})[method] = row
    several = {method: rows for method, rows in found.items() if len(rows) > 1}
    return {name: first | rows for name, rows in {**alike, **several}.items()} or {"": first}


def _percent(rows: Sequence[Row], kept: Sequence[int]) -> np.ndarray:
    """Return the means [rows, columns] in percent, nan where there is none."""
    return np.array([[np.nan if row.cells[i].mean is None else row.cells[i].mean for i in kept]
                     for row in rows], float)  # fmt: skip


def _gains(
    table: Table, rows: Sequence[Row], kept: Sequence[int], beside: np.ndarray
) -> np.ndarray:
    """Return points over zero-shot CLIP [rows, columns]; the mean over targets, which differ from
    row to row, has a column of its own for it."""
    gains = _percent(rows, kept) - beside
    if GAIN in table.columns:
        place = table.columns.index(GAIN)
        gains[:, kept.index(table.columns.index(TARGETS))] = _percent(rows, [place])[:, 0]
    return gains


def _panel(axes: "Axes", percent: np.ndarray, gains: np.ndarray, span: float) -> "AxesImage":
    shown = axes.imshow(gains, vmin=-span, vmax=span, cmap="RdBu", aspect="auto")
    for place, value in np.ndenumerate(percent):
        if not np.isnan(value):
            is_dark = abs(np.nan_to_num(gains[place])) > 0.6 * span
            axes.text(place[1], place[0], f"{value:.1f}", ha="center", va="center",
                      fontsize="x-small", color="white" if is_dark else "black")  # fmt: skip
    return shown


def _size(panels: dict[str, dict[str, Row]], num_columns: int) -> tuple[float, float]:
    """Return width and height in inches."""
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    tallest = max(map(len, panels.values()))
    return 1.6 + across * (1.1 + 0.42 * num_columns), 1.0 + down * (1.0 + 0.28 * tallest)
