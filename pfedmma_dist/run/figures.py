"""Pictures of a run, legible in grey, at ten clients and at hundreds.

Those of accuracies over rounds follow from the quantities that say they belong there.
"""

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from pfedmma_dist.quantities import scores as quantities
from pfedmma_dist.quantities.quantity import Place, heading
from pfedmma_dist.quantities.scores import (
    DOMAIN_MEAN,
    HM,
    LOCAL,
    LOCAL_MEAN,
    LOCAL_WORST_DECILE,
    SCOPE_MEAN,
    VAL_MEAN,
)
from pfedmma_dist.run import selection
from pfedmma_dist.run.drawing import finish, new_figure, steady
from pfedmma_dist.run.labels import label
from pfedmma_dist.run.record import ClientTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FIXED = {LOCAL_MEAN.key: ("0.0", "-", "o"), HM.key: ("0.0", ":", "D")}
STYLES = (
    ("0.45", "--", "s"), ("0.45", "-.", "^"), ("0.7", "--", "v"), ("0.7", "-.", "*"),
    ("0.45", ":", "P"), ("0.45", "-", "X"), ("0.7", ":", "<"), ("0.7", "-", "p"),
)  # fmt: skip
"""Grey level, dashes, marker of a curve: told apart without colour. FIXED: of those named."""


def classes_per_client(clients: ClientTable) -> "Figure":
    """Draw who owns how many images of which class, and how many of both each client has."""
    from matplotlib.colors import PowerNorm

    figure = new_figure(9.0, 4.5)
    left, *others = figure.subplots(1, 3, sharey=True, width_ratios=(4, 1, 1))
    drawn, (num_drawn, num_classes) = clients.drawn, clients.class_counts.shape
    every = 1 if num_drawn < 2 else int(drawn[1])
    bottom, top = (num_drawn - 0.5) * every, -0.5 * every
    image = left.imshow(
        clients.class_counts, cmap="Greys", aspect="auto", interpolation="nearest",
        norm=PowerNorm(0.5, vmin=0),  # so that one image is seen beside the many of another class
        extent=(-0.5, num_classes - 0.5, bottom, top),
    )  # fmt: skip
    left.set_xlabel("class (index)")
    left.set_ylabel("client (index)" if every == 1 else f"client (index, 1 in {every:,})")
    left.set_title(f"classes: {num_classes}, clients: {len(clients.sizes):,}")
    bar = figure.colorbar(image, ax=left, label="training images of the class", pad=0.02)
    columns = {"classes": clients.num_classes, "training images": clients.sizes}
    for axes, (name, values) in zip(others, columns.items(), strict=True):
        axes.barh(drawn, values[drawn], height=0.8 * every, color="0.45")
        axes.set_xlabel(name)
        axes.set_title(f"mean {values.mean():,.1f}")
        axes.set_xlim(0, max(1, int(values.max())) * 1.05)
    for axis in (left.xaxis, left.yaxis, *(axes.xaxis for axes in others), bar.ax.yaxis):
        _whole_numbers(axis)
    if clients.domains:
        _mark_domains(left, clients.domains)
    left.set_ylim(bottom, top)
    return figure


def accuracy_over_rounds(
    metrics: Mapping[str, np.ndarray], scopes: Iterable[str], zero_shot: Mapping[str, float]
) -> "Figure":
    """Draw the mean accuracies of the scored rounds, and zero-shot Local as the reference; where
    there are validation images, mark the round that is best on them.

    metrics: columns of metrics.csv. scopes: what is scored there. zero_shot: its `summary`.
    """
    figure = new_figure(7.0, 4.5)
    axes = figure.subplots()
    rounds = metrics["round"] + 1
    mean, worst = (metrics[quantity.column] for quantity in (LOCAL_MEAN, LOCAL_WORST_DECILE))
    seen = ~np.isnan(worst)
    axes.fill_between(
        rounds[seen], worst[seen], mean[seen], color="0.88",
        label=f"{LOCAL_MEAN.heading}, down to worst tenth of clients",
    )  # fmt: skip
    styles = cycle(STYLES)
    for quantity in quantities.scores(scopes):
        if Place.RUN_FIGURE not in quantity.places:
            continue
        grey, dashes, marker = FIXED.get(quantity.key) or next(styles)
        values = metrics.get(quantity.column, np.full(len(rounds), np.nan))
        seen = ~np.isnan(values)
        if seen.any():
            marked = max(1, int(seen.sum()) // 12)
            axes.plot(
                rounds[seen], values[seen], dashes, color=grey, marker=marker, markevery=marked,
                markersize=5, linewidth=1.4, label=quantity.heading,
            )  # fmt: skip
    validated = metrics.get(VAL_MEAN.column, np.full(len(rounds), np.nan))
    best = selection.best(dict(zip(rounds.tolist(), validated.tolist(), strict=True)))
    if best is not None:
        axes.axvline(
            best, color="0.0", linewidth=0.9, dashes=(2, 3),
            label=f"best on validation images, round {int(best)}",
        )  # fmt: skip
    reference = zero_shot.get(LOCAL_MEAN.key)
    if reference is not None:
        axes.axhline(
            reference, color="0.0", linewidth=0.9, dashes=(10, 6),
            label=f"zero-shot {LOCAL_MEAN.heading}, {reference:.1f}",
        )  # fmt: skip
    _whole_numbers(axes.xaxis)
    _finish(axes, "rounds trained", "accuracy, mean over clients (%)")
    return figure


def own_versus(
    other: str, scores: Mapping[str, np.ndarray], zero_shot: Mapping[str, float]
) -> "Figure":
    """Draw a point per client: accuracy on its own test images against that on another scope."""
    figure = new_figure(5.5, 4.5)
    axes = figure.subplots()
    is_scored = ~np.isnan(scores[LOCAL]) & ~np.isnan(scores[other])  # others never train, say
    x, y = scores[LOCAL], scores[other]
    num, few = int(is_scored.sum()), is_scored.sum() <= 30
    axes.plot(
        x, y, "o", color="0.35" if few else "0.0", alpha=0.9 if few else 0.3,
        markersize=6 if few else 4, markeredgewidth=0, label=f"client ({num:,})",
    )  # fmt: skip
    axes.plot(
        np.nanmean(x), np.nanmean(y), "P", color="black", markeredgecolor="white", markersize=13,
        label="mean of clients",
    )  # fmt: skip
    keys = LOCAL_MEAN.key, SCOPE_MEAN.named(other).key
    if set(keys) <= zero_shot.keys():
        axes.plot(
            *(zero_shot[key] for key in keys), "X", color="white", markeredgecolor="black",
            markersize=11, label="zero-shot, mean",
        )  # fmt: skip
    _finish(axes, *(f"{heading(scope)} accuracy (%)" for scope in (LOCAL, other)))
    return figure


def domains(
    own: np.ndarray, domains: Mapping[str, np.ndarray], zero_shot: Mapping[str, float]
) -> "Figure":
    """Draw a line per domain: its clients' accuracies on their own test images, and their mean.

    own: [K] percent. domains: name -> its clients.
    """
    figure = new_figure(7.0, 1.6 + 0.4 * len(domains))
    axes = figure.subplots()
    places = np.arange(len(domains))
    members = list(domains.values())
    axes.plot(
        np.concatenate([own[clients] for clients in members]),
        np.repeat(places, [len(clients) for clients in members]),
        "|", color="0.5", markersize=10, label="client",
    )  # fmt: skip
    axes.plot(
        [np.nanmean(own[clients]) for clients in members], places, "P", color="black",
        markeredgecolor="white", markersize=13, label="mean of clients",
    )  # fmt: skip
    keys = [DOMAIN_MEAN.named(name).key for name in domains]
    if set(keys) <= zero_shot.keys():
        axes.plot(
            [zero_shot[key] for key in keys], places, "X", color="white", markeredgecolor="black",
            markersize=9, label="zero-shot, mean",
        )  # fmt: skip
    axes.set_yticks(places, list(map(label, domains)))
    axes.set_ylim(len(domains) - 0.5, -0.5)
    _finish(axes, LOCAL_MEAN.label, "")
    return figure


def _mark_domains(axes: "Axes", domains: Mapping[str, np.ndarray]) -> None:
    """Write the domains' names beside their clients."""
    shown = {name: own for name, own in domains.items() if len(own)}
    axes.set_ylabel(axes.get_ylabel().replace("index", "by domain"))
    axes.set_yticks([own.mean() for own in shown.values()], list(map(label, shown)))
    axes.tick_params(axis="y", length=0)
    for own in shown.values():
        axes.axhline(own.max() + 0.5, color="black", linewidth=0.8)


def _finish(axes: "Axes", x: str, y: str) -> None:
    finish(axes, x, y)
    steady(axes)
    axes.figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")


def _whole_numbers(axis: "Axis") -> None:
    locator: Any = axis.get_major_locator()  # of a kind that takes these
    locator.set_params(integer=True, min_n_ticks=1)
