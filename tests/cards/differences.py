"""Rows of docs/differences.md and docs/known-defects.md, and which of them are about a method."""

import re
from dataclasses import dataclass
from functools import cache

from tests.cards.presets import ROOT, presets_of

PAGE = "docs/differences.md"
DEFECTS = "docs/known-defects.md"
MEASURED = "Measured"
"""How sections begin whose rows are results."""


@dataclass(frozen=True)
class Difference:
    """One row of one table."""

    page: str
    section: str
    heads: tuple[str, ...]
    cells: tuple[str, ...]

    def is_about(self, names: set[str], *, first: bool = False) -> bool:
        """Whether one of the names is a word of the cells that say what, and whose or which; first:
        of the first cell alone."""
        words = " ".join(self.cells[: 1 if first else 2])
        return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", words) for name in names)


def names_of(method: str) -> set[str]:
    """Return what papers call a method and its variants: how comments of its presets begin,
    where these do not begin otherwise."""
    return {preset.called for preset in presets_of(method)} - {""}


def about(method: str, *, first: bool = False) -> list[Difference]:
    """Return the rows about a method; first: those that begin with it."""
    names = names_of(method)
    return [row for row in differences() if row.is_about(names, first=first)]


@cache
def differences() -> tuple[Difference, ...]:
    """Return the rows of all tables of both pages that are no results; AssertionError for one of a
    wrong width."""
    rows = [row for page in (PAGE, DEFECTS) for row in _rows(page)]
    return tuple(row for row in rows if not row.section.startswith(MEASURED))


def _rows(page: str) -> list[Difference]:
    found: list[Difference] = []
    section, heads = "", ()
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            section, heads = line.removeprefix("## "), ()
        if not line.startswith("|"):
            continue
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        if not heads:
            heads = cells
        elif set("".join(cells)) - set("-:"):
            assert len(cells) == len(heads), f"{page}:{number}: {len(cells)} cells of {heads}"
            found.append(Difference(page, section, heads, cells))
    return found
