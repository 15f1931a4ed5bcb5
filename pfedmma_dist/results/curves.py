"""Draw accuracies as rounds and bytes go by, a line with a band for the spread over seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from pfedmma_dist.quantities.costs import SIMULATED_TIME
from pfedmma_dist.quantities.quantity import Quantity
from pfedmma_dist.quantities.scores import LOCAL_MEAN
from pfedmma_dist.quantities.units import seconds, size
from pfedmma_dist.results.columns import taking_part
from pfedmma_dist.results.lines import CLIENTS, Line
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.style import Look, legend
from pfedmma_dist.run.drawing import finish, legend_label, new_figure, steady
from pfedmma_dist.run.labels import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """The scored rounds that all seeds of a line have."""

    rounds: np.ndarray  # [R] int64, counted from 0
    sent: np.ndarray  # [R] bytes up and down until then, of a client on average
    clock: np.ndarray  # [R] simulated seconds until then, nan where no clock ran
    mean: np.ndarray  # [R] of the quantity
    deviation: np.ndarray | None  # [R] of a sample; None where there is one seed


def curve(line: Line, quantity: Quantity = LOCAL_MEAN) -> Curve | None:
    """Return the curve of a line, None where no round of it has the quantity."""
    scored = [found for run in line.seeds().values() if (found := _scored(run, quantity))]
    if not scored:
        return None
    rounds = sorted(set.intersection(*(set(found) for found in scored)))
    if not rounds:
        return None
    values, _, clock = np.array([[found[index] for index in rounds] for found in scored]).transpose(
        2, 0, 1
    )
    sent = np.array([scored[0][index][1] for index in rounds])
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else None
    return Curve(np.array(rounds), sent, clock.mean(axis=0), values.mean(axis=0), deviation)


def over_rounds(
    title: str,
    panels: Mapping[str, Sequence[Line]],  # what a panel's lines have in common -> its lines
    look: Callable[[Line], tuple[str, Look]],  # name and look of a line
    quantity: Quantity = LOCAL_MEAN,
) -> "Figure":
    """Draw a quantity over the rounds."""

    def draw(axes: "Axes", found: Curve, name: str, style: Look) -> None:
        x = found.rounds + 1
        axes.plot(x, found.mean, label=legend_label(name), markevery=_some(len(x)), **style.line)
        _band(axes, x, found, style)
        locator: Any = axes.xaxis.get_major_locator()  # of a kind that takes these
        locator.set_params(integer=True, min_n_ticks=1)

    return panelled(title, panels, look, _where_any(draw, quantity), "rounds trained", quantity)


def over_bytes(
    title: str,
    panels: Mapping[str, Sequence[Line]],
    look: Callable[[Line], tuple[str, Look]],
    quantity: Quantity = LOCAL_MEAN,
) -> "Figure":
    """Draw a quantity over the bytes that a client has sent and received, on average over clients.

    What sends nothing has no place on a logarithmic axis: its last number is a line across.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    def draw(axes: "Axes", found: Curve, name: str, style: Look) -> None:
        if found.sent[-1] == 0:
            axes.axhline(
                found.mean[-1], color=style.colour, linestyle=style.dashes, linewidth=1.0,
                label=legend_label(f"{name} (sends nothing)"),
            )  # fmt: skip
            return
        axes.plot(
            found.sent, found.mean, label=legend_label(name), markevery=_some(len(found.sent)),
            **style.line,
        )  # fmt: skip
        _band(axes, found.sent, found, style)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=7))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size(value)))

    return panelled(
        title, panels, look, _where_any(draw, quantity), "traffic per client so far", quantity
    )


def over_clients(
    title: str,
    panels: Mapping[str, Sequence[Line]],
    look: Callable[[Line], tuple[str, Look]],
    ascending: Callable[[Line], np.ndarray],  # line -> [n] percent, of its clients
) -> "Figure":
    """Draw Local of each line's clients, the lowest first, over the share of them below."""

    def draw(axes: "Axes", line: Line, name: str, style: Look) -> None:
        found = ascending(line)
        if len(found):
            x = 100 * (np.arange(len(found)) + 0.5) / len(found)
            axes.plot(x, found, label=legend_label(name), markevery=_some(len(x)), **style.line)

    return panelled(title, panels, look, draw, "clients, the lowest first (%)", LOCAL_MEAN)


def over_seconds(
    title: str,
    panels: Mapping[str, Sequence[Line]],
    look: Callable[[Line], tuple[str, Look]],
    quantity: Quantity = LOCAL_MEAN,
) -> "Figure":
    """Draw a quantity over the simulated seconds, on average over seeds."""
    from matplotlib.ticker import FuncFormatter

    def draw(axes: "Axes", found: Curve, name: str, style: Look) -> None:
        some = _some(len(found.clock))
        axes.plot(found.clock, found.mean, label=legend_label(name), markevery=some, **style.line)
        _band(axes, found.clock, found, style)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))

    return panelled(
        title, panels, look, _where_any(draw, quantity), "simulated time so far", quantity
    )


def _where_any(
    draw: Callable[["Axes", Curve, str, Look], None], quantity: Quantity
) -> Callable[["Axes", Line, str, Look], None]:
    """Return what draws a line's curve, where it has one."""

    def draw_line(axes: "Axes", line: Line, name: str, style: Look) -> None:
        found = curve(line, quantity)
        if found is not None:
            draw(axes, found, name, style)

    return draw_line


def _scored(run: Outcome, quantity: Quantity) -> dict[int, tuple[float, float, float]]:
    """Return scored round -> the quantity, and bytes of a client on average and simulated seconds
    until then."""
    metrics = run.metrics()
    if quantity.column not in metrics:
        return {}
    each = metrics["client_up_bytes"] + metrics["client_down_bytes"]
    share = taking_part(run, metrics) / max(1, int(run.config.get(CLIENTS, 1)))
    none = np.full(len(each), np.nan)
    clock = metrics.get(SIMULATED_TIME.column, none)
    columns = (metrics["round"], metrics[quantity.column], np.cumsum(each * share), clock)
    rows = zip(*columns, strict=True)
    return {int(index): tuple(rest) for index, *rest in rows if not np.isnan(rest[0])}


def panelled(
    title: str,
    panels: Mapping[str, Sequence[Line]],
    look: Callable[[Line], tuple[str, Look]],
    draw: Callable[["Axes", Line, str, Look], None],
    x: str,
    quantity: Quantity,
) -> "Figure":
    """Draw each panel's lines into axes of its own, all of one scale and with one legend."""
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(max(6.4, 3.4 * across), 4.6 if down == 1 else 1.0 + 2.7 * down)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat
    for axes, (setting, lines) in zip(grid, panels.items(), strict=False):
        for line in lines:
            draw(axes, line, *look(line))
        for name, value in _references(lines, quantity).items():
            across_all = {"color": "black", "linewidth": 0.9, "dashes": (10, 5)}
            axes.axhline(value, label=legend_label(name), **across_all)
        axes.margins(y=0.08)  # a line across at the edge would pass for the edge
        finish(axes, x, quantity.label)
        axes.set_title(label(setting), fontsize="small")
    for axes in figure.axes[len(panels) :]:
        axes.remove()
    for place, axes in enumerate(figure.axes):
        steady(axes)  # here, as all have one scale
        is_lowest = place + across >= len(panels)  # also above an empty place of the last row
        axes.tick_params(labelbottom=is_lowest)
        axes.set_xlabel(x if is_lowest else "")
        axes.set_ylabel("" if place % across else quantity.label)
    legend(figure, title)
    return figure


def _references(lines: Sequence[Line], quantity: Quantity) -> dict[str, float]:
    """Return name -> the quantity of what trains nothing, averaged over what it was scored for."""
    found: dict[str, set[tuple[Any, float]]] = {}
    for run in (run for line in lines for run in line.runs):
        row = run.reference
        if row is not None and quantity.key in row.scores:
            # The same for all methods: once per seed, and per division of the data.
            place = (run.config.get("seed"), row.scores[quantity.key])
            found.setdefault(row.name, set()).add(place)
    return {name: fmean(value for _, value in places) for name, places in found.items()}


def _band(axes: "Axes", x: np.ndarray, found: Curve, style: Look) -> None:
    if found.deviation is not None:
        low, high = found.mean - found.deviation, found.mean + found.deviation
        axes.fill_between(x, low, high, color=style.colour, alpha=0.14, linewidth=0)


def _some(count: int) -> int:
    """Return of how many points one gets a marker: about ten do."""
    return max(1, count // 10)
