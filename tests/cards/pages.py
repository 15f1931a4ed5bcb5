"""All pages, and whether those of docs are what the source says."""

from pathlib import Path

from pfedmma_dist.methods import METHODS
from tests.cards.card import card
from tests.cards.index import index
from tests.cards.presets import ROOT

COMMAND = "python -m tests.cards"


def pages() -> dict[Path, str]:
    """Return the text of every page by its path."""
    cards = {ROOT / "docs" / "methods" / f"{name}.md": card(name) for name in METHODS}
    return {ROOT / "docs" / "methods.md": index(), **cards}


def write() -> list[Path]:
    """Write pages that have changed, take away those of methods that are gone; return both."""
    wanted, changed = pages(), []
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    for path in stray(wanted):
        path.unlink()
        changed.append(path)
    return changed


def stray(wanted: dict[Path, str]) -> list[Path]:
    """Return the pages that no method has."""
    return sorted(set((ROOT / "docs" / "methods").glob("*.md")) - wanted.keys())
