"""What was measured of methods, read from docs/measured; what is not there is a dash."""

import csv
import json
import statistics
from functools import cache
from pathlib import Path
from typing import Any

from tests.cards.presets import ROOT, SweepRow

FOLDER = ROOT / "docs" / "measured"
GOLDEN, STEPS, GLYPHS = FOLDER / "golden.json", FOLDER / "steps.json", FOLDER / "glyphs.csv"
DASH = "–"
SWEEP = "quick_compare_all"
"""The sweep whose scores GLYPHS holds."""
FEWEST_SEEDS = 3
"""A score of fewer seeds is no score."""
PLAIN, DEFAULT = "plain float32", "default float32 G=1"
"""Forms of a step whose ratio is shown."""


@cache
def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@cache
def _scores() -> dict[str, dict[str, str]]:
    """Return the cells of HM by the label of their row."""
    if not GLYPHS.exists():
        return {}
    with GLYPHS.open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["column"] == "hm"]
    own = [row for row in found if row["published"] == "0"]
    labels = [row["method"] for row in own]
    twice = {label for label in labels if labels.count(label) > 1}
    assert not twice, f"{GLYPHS}: several rows of {twice}; make it of one sweep on one data set"
    return dict(zip(labels, own, strict=True))


def comparisons(method: str) -> list[dict[str, Any]]:
    """Return what a method was compared with: of each the name, whether it was recorded, and the
    largest difference by noun."""
    return _json(GOLDEN).get(method, [])


def step(preset: str) -> str:
    """Return the seconds of a step in the plain and in the default form, and their ratio."""
    found = _json(STEPS).get(preset)
    if found is None or not {PLAIN, DEFAULT} <= found["forms"].keys():
        return DASH
    slow, fast = (statistics.median(found["forms"][form]["seconds"]) for form in (PLAIN, DEFAULT))
    batch = found["with"]["batch"]
    images = "" if batch == 32 else f" ({batch} images)"
    return f"{slow:.3g} s, {fast:.2g} s (**{slow / fast:.2g}x**){images}"


def conditions() -> str:
    """Say with what steps were measured."""
    told = {
        f"torch {own['with']['torch']}, {own['with']['model']}, {own['with']['device']}, "
        f"{own['with']['threads']} thread(s), {own['with']['classes']} classes"
        for own in _json(STEPS).values()
    }
    return "; ".join(sorted(told)) or "not measured yet"


def harmonic(row: SweepRow) -> str:
    """Return the HM of a row of SWEEP in percent: mean, deviation and number of seeds."""
    cell = _scores().get(row.label)
    if cell is None or int(cell["n"] or 0) < FEWEST_SEEDS:
        return DASH
    return f"{float(cell['mean']):.1f} ± {float(cell['deviation']):.1f} ({cell['n']})"
