"""How lines are told apart in figures: by colour, dashes and marker, each of them enough alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfedmma_dist.run import drawing
from pfedmma_dist.run.labels import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Of Okabe and Ito, told apart by colour-blind readers, the pale yellow left out."""

DASHES = ("-", (0, (6, 2)), (0, (1.2, 1.5)), (0, (6, 2, 1.2, 2)), (0, (3, 1.5)))
"""Their number and that of the colours have no common divisor, so that each pair comes once."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*")

LONGEST = 72
"""Characters of a title or a legend's line: of several names, or of what tells one apart."""

SIGNATURE = "pfedmma_dist figures"
"""Stands in every file written here, which may therefore be written again."""

SVG_METADATA = {"Creator": SIGNATURE, "Date": None}


@dataclass(frozen=True)
class Look:
    """The look of one line."""

    colour: str
    dashes: Any
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Return matplotlib's words for a line with markers."""
        return {
            "color": self.colour, "linestyle": self.dashes, "marker": self.marker,
            "markersize": 5.5, "linewidth": 1.5, "markeredgecolor": "white", "markeredgewidth": 0.6,
        }  # fmt: skip


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each name, in their order."""
    return {
        name: Look(
            COLOURS[index % len(COLOURS)],
            DASHES[index % len(DASHES)],
            MARKERS[index % len(MARKERS)],
        )
        for index, name in enumerate(dict.fromkeys(names))
    }


def legend(figure: "Figure", title: str) -> None:
    """Put a title above and, below everything, a legend of what all the axes show."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found = dict(zip(labels, handles, strict=True)) | found
    names = [label(name, LONGEST) for name in found]
    longest = max(map(len, names), default=0)
    columns = max(1, min(3, len(found), int(figure.get_figwidth() * 13) // (longest + 8)))
    further = -(-len(found) // columns) - 3
    if further > 0:  # rows that would be taken from the axes
        figure.set_figheight(figure.get_figheight() + 0.2 * further)
    figure.suptitle(label(title, LONGEST), fontsize="medium")
    figure.legend(
        found.values(), names, loc="outside lower center", ncols=columns, frameon=False,
        fontsize="small", handlelength=3.6,
    )  # fmt: skip


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG, each whole or not at all, and return the two files.

    ValueError where a file of that name is somebody else's.
    """
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        if path.exists() and SIGNATURE.encode() not in path.read_bytes():
            raise ValueError(f"{path} was not made here and is left alone; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    told: tuple[Mapping[str, str | None], ...] = ({"Software": SIGNATURE}, SVG_METADATA)
    for path, metadata in zip(paths, told, strict=True):
        drawing.save(figure, path, metadata)
    return paths


def as_svg(figure: "Figure") -> bytes:
    """Return a figure as the SVG that `save` writes."""
    return drawing.rendered(figure, "svg", SVG_METADATA)
