"""The books of a sweep: the plan in its folder, read without what plans one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pfedmma_dist.config.documents import Word, parsed
from pfedmma_dist.reading import read_rows

PLAN = "sweep.csv"
"""A row per planned run, in the folder of the sweep."""

COLUMNS = ("id", "row", "folder")
"""Of a plan, before its format and the keys of its grid."""


def read_plan(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a sweep's plan; ValueError where the folder is none of a sweep."""
    try:
        rows = read_rows(folder / PLAN, COLUMNS, "start the sweep again, which writes it anew")
    except FileNotFoundError as error:
        raise ValueError(f"{folder} holds no {PLAN}; give the folder of a sweep") from error
    if not rows:
        raise ValueError(f"{folder / PLAN} plans no run; start the sweep again")
    return rows


def point_of(row: Mapping[str, str]) -> dict[str, Any]:
    """Return grid key -> value of a row of the plan."""
    return {key: parsed(Word(text)) for key, text in row.items() if key not in (*COLUMNS, "format")}
