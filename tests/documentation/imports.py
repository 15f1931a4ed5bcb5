"""docs/imports.svg: the table of tests/test_imports.py as a picture, a square for each arrow."""

from html import escape

from tests.documentation.pages import DOCS
from tests.test_imports import COMMANDS, ROOMS

PICTURE = DOCS / "imports.svg"
SIDE = 15
LEFT, TOP = 108, 98
INK, WHOLE, PART, LINE = "#1f2d3d", "#1f4e79", "#9dbbd8", "#e3e8ee"

STYLE = f"""\
<style>
text {{ font: 11px sans-serif; fill: {INK}; }}
.whole {{ fill: {WHOLE}; }} .part {{ fill: {PART}; }} .own {{ fill: {INK}; opacity: 0.18; }}
.line {{ stroke: {LINE}; }}
</style>
"""


def picture() -> str:
    """Return the picture: a row for a room or module, a square where it may import the column's."""
    rows = list(ROOMS)
    size = SIDE * len(rows)
    parts = [rectangle(0, 0, LEFT + size + 20, TOP + size + 62, "paper"), STYLE]
    for index, room in enumerate(rows):
        middle = SIDE * index + SIDE / 2
        parts.append(text(LEFT - 6, TOP + middle + 4, room, 'text-anchor="end"'))
        where = f"translate({LEFT + middle + 4} {TOP - 6}) rotate(-60)"
        parts.append(f'<text transform="{where}">{escape(room)}</text>\n')
        parts.append(line(LEFT, TOP + SIDE * index, LEFT + size, TOP + SIDE * index))
        parts.append(line(LEFT + SIDE * index, TOP, LEFT + SIDE * index, TOP + size))
        parts.append(square(index, index, "own", room))
        for column, kind in arrows(room).items():
            told = f"{room} imports {column}" + (" in part" if kind == "part" else "")
            parts.append(square(rows.index(column), index, kind, told))
    below = TOP + size + 20
    parts += [
        rectangle(LEFT, below - 9, 11, 11, "whole"),
        text(LEFT + 16, below, "may import all of it"),
        rectangle(LEFT + 150, below - 9, 11, 11, "part"),
        text(LEFT + 166, below, "some modules of it"),
        text(
            LEFT,
            below + 18,
            "nothing right of the diagonal: no arrow upwards, none in a circle",
        ),
        text(LEFT, below + 34, f"the commands may import everything: {', '.join(COMMANDS)}"),
    ]
    box = f"0 0 {LEFT + size + 20} {TOP + size + 62}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">\n'
    return head + "".join(parts) + "</svg>\n"


def arrows(room: str) -> dict[str, str]:
    """Return the rows that one may import, and whether the whole of each or a part."""
    found: dict[str, str] = {}
    for name in ROOMS[room].split():
        home, _, module = name.partition(".")
        if found.get(home) != "whole":
            found[home] = "part" if module else "whole"
    return found


def square(column: int, row: int, kind: str, told: str) -> str:
    """Return a square of the table with words for who points at it."""
    x, y = LEFT + SIDE * column + 1.5, TOP + SIDE * row + 1.5
    return rectangle(x, y, SIDE - 3, SIDE - 3, kind, f"<title>{escape(told)}</title>")


def rectangle(x: float, y: float, width: float, height: float, kind: str, inside: str = "") -> str:
    """Return a rectangle; `paper` is the ground, which stays white on dark pages."""
    look = 'fill="#ffffff"' if kind == "paper" else f'class="{kind}"'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" {look}>{inside}</rect>\n'


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a thin line."""
    return f'<line class="line" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>\n'


def text(x: float, y: float, words: str, more: str = "") -> str:
    """Return a line of text."""
    return f'<text x="{x}" y="{y}" {more}>{escape(words)}</text>\n'
