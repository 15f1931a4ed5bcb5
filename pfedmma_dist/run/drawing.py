"""Draw and write figures so that every name stands in them as it is.

Figures are made without pyplot, so no global state of matplotlib is touched; it is imported on the
first call, since it takes half a second.
"""

import io
import logging
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.run.files import write_bytes_atomically
from pfedmma_dist.run.labels import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

PIXELS_PER_INCH = 150

ROUNDED = 1e-6
"""Part of a number below which two of them are not told apart; files have 8 digits."""

WIDER = 0.05
"""Part of a number that is then shown below and above it."""

NO_WIDTH = "\u200b"
"""Before a leading underscore, by which matplotlib means that a line is not in the legend."""

LAST_RESORT = "Last Resort"
"""Beginning of the name of a font that has a box for every character."""

NAMED = 12
"""Characters without a font that are named."""


def new_figure(width: float = 6.4, height: float = 4.4) -> "Figure":
    """Return an empty figure; its parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def finish(axes: "Axes", x: str, y: str) -> None:
    """Give the axes their words and a quiet grid."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def steady(axes: "Axes") -> None:
    """Widen an axis that would show nothing but how numbers are rounded in files, 86.111111 beside
    86.11111111, as if that were a difference. Call it once all is drawn."""
    for scale, limits, widen in (
        (axes.get_xscale(), axes.get_xlim(), axes.set_xlim),
        (axes.get_yscale(), axes.get_ylim(), axes.set_ylim),
    ):
        first, last = limits
        largest = max(abs(first), abs(last))
        if scale == "linear" and abs(last - first) < ROUNDED * largest:
            more = WIDER * largest if last > first else -WIDER * largest
            widen(first - more, last + more)


def legend_label(name: str) -> str:
    """Return a name for `label=`, which is in the legend whatever it begins with."""
    name = printable(name)
    return NO_WIDTH + name if name.startswith("_") else name


def save(
    figure: "Figure",
    path: Path,
    metadata: Mapping[str, str | None] | None = None,  # of the file, as matplotlib takes it
) -> None:
    """Write the figure in the format of its ending, whole or not at all."""
    write_bytes_atomically(path, rendered(figure, path.suffix[1:], metadata))


def rendered(
    figure: "Figure", kind: str, metadata: Mapping[str, str | None] | None = None
) -> bytes:
    """Return the figure as a file of a kind, such as png or svg, would hold it."""
    written = io.BytesIO()
    with _as_written(figure):
        figure.savefig(written, format=kind, dpi=PIXELS_PER_INCH, metadata=metadata)
    return written.getvalue()


def stored(path: Path) -> np.ndarray:
    """Return a picture that `save` has written [height, width, 3] uint8."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@contextmanager
def _as_written(figure: "Figure") -> Iterator[None]:
    """Let the figure be drawn with its words as they are, in fonts that have them."""
    from matplotlib import rcParams
    from matplotlib.text import Text

    for axes in figure.axes:  # ticks have no words before they are asked for
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels()
    texts = figure.findobj(Text)
    characters = frozenset("".join(text.get_text() for text in texts if text.get_visible()))
    further = fonts(frozenset(c for c in characters if not c.isascii()))
    for text in texts:
        text.set_parse_math(False)  # or `$5 to $10` would be a formula, or an error
        if further:
            text.set_fontfamily([*rcParams["font.family"], *further])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # told by `_further`
        yield


@lru_cache
def fonts(characters: frozenset[str]) -> tuple[str, ...]:
    """Return families of installed fonts that have what our own lacks of these characters."""
    from matplotlib.font_manager import FontProperties, findfont

    codes = frozenset(ord(c) for c in characters if unicodedata.category(c) != "Cf")
    return _further(codes - _covered(findfont(FontProperties())))


@lru_cache
def _further(codes: frozenset[int]) -> tuple[str, ...]:
    """Return families that have these code points, and say once which of them no font has."""
    from matplotlib.font_manager import fontManager

    missing = set(codes)
    found: list[str] = []
    # Plain fonts first; of these, in the order of their names, so that a picture is the same again.
    entries = [font for font in fontManager.ttflist if not font.name.startswith(LAST_RESORT)]
    for font in sorted(entries, key=lambda f: (f.style != "normal", f.weight != 400, f.name)):
        if not missing:
            break
        covered = missing & _covered(font.fname)
        if covered:
            found.append(font.name)
            missing -= covered
    if missing:
        some = [chr(code) for code in sorted(missing)]
        more = f" and {len(some) - NAMED:,} more" if len(some) > NAMED else ""
        log.warning(
            "figures: no installed font has %s%s, drawn as boxes; install a font of that script, "
            "such as Noto Sans CJK",
            " ".join(some[:NAMED]), more,
        )  # fmt: skip
    return tuple(dict.fromkeys(found))


def _covered(font: str) -> set[int]:
    """Return the code points that a font has; none of one that cannot be opened."""
    from matplotlib.font_manager import get_font

    try:
        return set(get_font(font).get_charmap())
    except (RuntimeError, OSError):  # FreeType's word for a file that is none, or is gone
        return set()
