"""Rows of docs/differences.md, and which of them are about a method."""

import re
from dataclasses import dataclass
from functools import cache

from tests.cards.presets import ROOT, presets_of

PAGE = "docs/differences.md"


@dataclass(frozen=True)
class Difference:
    """One row of one table."""

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
    """Return the rows of all tables of the page; AssertionError for one of a wrong width."""
    found: list[Difference] = []
    section, heads = "", ()
    for number, line in enumerate((ROOT / PAGE).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            section, heads = line.removeprefix("## "), ()
        if not line.startswith("|"):
            continue
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        if not heads:
            heads = cells
        elif set("".join(cells)) - set("-:"):
            assert len(cells) == len(heads), f"{PAGE}:{number}: {len(cells)} cells of {heads}"
            found.append(Difference(section, heads, cells))
    return tuple(found)
