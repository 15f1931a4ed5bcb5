"""Matrix of clients x clients, drawn: whose numbers, on whose images."""

import csv
from pathlib import Path

import numpy as np

from pfedmma_dist.results.style import save
from pfedmma_dist.run.drawing import new_figure


def draw_matrix(table: Path, folder: Path) -> None:
    """Draw the matrix of a CSV file, a row of text first and a client's number before each row."""
    with open(table, encoding="utf-8", newline="") as file:
        _, *lines = csv.reader(file)
    percent = np.array([[float(x or "nan") for x in line[1:]] for line in lines])
    figure = new_figure(5.6, 4.8)
    axes = figure.subplots()
    shown = axes.imshow(percent, vmin=0, vmax=100, cmap="viridis")
    axes.set_xlabel("images of client")
    axes.set_ylabel("numbers of client")
    if len(lines) <= 20:  # else matplotlib's own ticks, which are places, not clients
        clients = [line[0] for line in lines]
        axes.set_xticks(range(len(lines)), clients)
        axes.set_yticks(range(len(lines)), clients)
    figure.colorbar(shown, ax=axes, label="Local (%)")
    save(figure, folder, table.stem)
