"""Three pictures of a run, legible in grey, at ten clients and at hundreds.

Figures are made without pyplot, so no global state of matplotlib is touched; it is imported on the
first call, since it takes half a second.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.run.record import ClientTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

CURVES = {
    "local_mean_percent": ("Local", "0.0", "-", "o"),
    "base_mean_percent": ("Base", "0.45", "--", "s"),
    "novel_mean_percent": ("Novel", "0.45", "-.", "^"),
    "hm_percent": ("HM", "0.0", ":", "D"),
}
"""Column -> label, grey level, dashes, marker: told apart without colour."""


def classes_per_client(clients: ClientTable) -> "Figure":
    """Draw who owns how many images of which class, and how many classes each client has."""
    figure = _figure(8.0, 4.5)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    counts = clients.class_counts
    drawn, total = len(counts), len(clients.sizes)
    image = left.imshow(counts, cmap="Greys", aspect="auto", interpolation="nearest", vmin=0)
    left.set_xlabel("class (index)")
    left.set_ylabel("client (index)" if drawn == total else f"client (first {drawn} of {total:,})")
    left.set_title(f"classes: {counts.shape[1]}, clients: {total:,}")
    bar = figure.colorbar(image, ax=left, label="training images", pad=0.02)
    right.barh(np.arange(drawn), clients.num_classes[:drawn], height=0.8, color="0.45")
    right.set_xlabel("classes")
    right.set_title(f"mean {clients.num_classes.mean():.1f}")
    right.set_xlim(0, max(1, int(clients.num_classes.max())) * 1.05)
    for axis in (left.xaxis, left.yaxis, right.xaxis, bar.ax.yaxis):
        _whole_numbers(axis)
    return figure


def accuracy_over_rounds(
    metrics: Mapping[str, np.ndarray], zero_shot: Mapping[str, float]
) -> "Figure":
    """Draw the mean accuracies of the scored rounds, and zero-shot Local as the reference.

    metrics: columns of metrics.csv. zero_shot: its `summary`.
    """
    figure = _figure(7.0, 4.5)
    axes = figure.subplots()
    rounds = metrics["round"] + 1
    worst = metrics["local_worst_decile_percent"]
    seen = ~np.isnan(worst)
    axes.fill_between(
        rounds[seen],
        worst[seen],
        metrics["local_mean_percent"][seen],
        color="0.88",
        label="Local, down to worst tenth of clients",
    )
    for column, (label, grey, dashes, marker) in CURVES.items():
        values = metrics[column]
        seen = ~np.isnan(values)
        if seen.any():
            marked = max(1, int(seen.sum()) // 12)
            axes.plot(
                rounds[seen], values[seen], dashes, color=grey, marker=marker, markevery=marked,
                markersize=5, linewidth=1.4, label=label,
            )  # fmt: skip
    if "local_mean" in zero_shot:
        axes.axhline(
            zero_shot["local_mean"], color="0.0", linewidth=0.9, dashes=(10, 6),
            label=f"zero-shot Local, {zero_shot['local_mean']:.1f}",
        )  # fmt: skip
    _whole_numbers(axes.xaxis)
    _label(axes, "rounds trained", "accuracy, mean over clients (%)")
    return figure


def local_versus_novel(
    scores: Mapping[str, np.ndarray], zero_shot: Mapping[str, float]
) -> "Figure":
    """Draw a point per client: accuracy on its own classes against that on unseen classes."""
    figure = _figure(5.5, 4.5)
    axes = figure.subplots()
    local, novel = scores["local"], scores["novel"]
    few = len(local) <= 30
    axes.plot(
        local, novel, "o", color="0.35" if few else "0.0", alpha=0.9 if few else 0.3,
        markersize=6 if few else 4, markeredgewidth=0, label=f"client ({len(local):,})",
    )  # fmt: skip
    axes.plot(
        np.nanmean(local), np.nanmean(novel), "P", color="black", markeredgecolor="white",
        markersize=13, label="mean of clients",
    )  # fmt: skip
    if {"local_mean", "novel_mean"} <= zero_shot.keys():
        axes.plot(
            zero_shot["local_mean"], zero_shot["novel_mean"], "X", color="white",
            markeredgecolor="black", markersize=11, label="zero-shot, mean",
        )  # fmt: skip
    _label(axes, "Local accuracy (%)", "Novel accuracy (%)")
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png", dpi=150)
    os.replace(temporary, path)


def pixels(figure: "Figure") -> np.ndarray:
    """Return the figure as an RGB image [height, width, 3] uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _label(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")


def _whole_numbers(axis: "Axis") -> None:
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)
