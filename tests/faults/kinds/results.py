"""Damage to what a run leaves for people: result.json, metrics.csv, clients.csv, config.yaml."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.base import Base
from tests.faults.mutations import edit_json, edit_sealed
from tests.faults.place import Place
from tests.faults.trial import Kind, Trial, Verdict
from tests.faults.whole import Whole

FILES = ("result.json", "metrics.csv", "clients.csv", "config.yaml")
DEEP = "[" * 100_000 + "]" * 100_000

Edit = Callable[[Path], object]


def lines(change: Callable[[list[str]], list[str]]) -> Edit:
    """Return an edit of the lines of a file."""

    def edit(file: Path) -> None:
        file.write_text("".join(change(file.read_text().splitlines(keepends=True))))

    return edit


def words(text: str) -> Edit:
    """Return an edit that replaces everything."""
    return lambda file: file.write_text(text)


def json_value(path: list[str | int], value: object, sealed: bool = False) -> Edit:
    """Return an edit of one value of a JSON file; sealed: with its seal made anew."""

    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return lambda file: (edit_sealed if sealed else edit_json)(file, change)


METRICS: dict[str, Edit] = {
    "a row dropped": lines(lambda rows: [rows[0], *rows[2:]]),
    "the last row dropped": lines(lambda rows: rows[:-1]),
    "a row doubled": lines(lambda rows: [*rows[:2], rows[1], *rows[2:]]),
    "two rows swapped": lines(lambda rows: [rows[0], rows[2], rows[1], *rows[3:]]),
    "the last row cut": lines(lambda rows: [*rows[:-1], rows[-1][:9]]),
    "a number edited": lines(lambda rows: [rows[0], "0,9.5" + rows[1][rows[1].index(",", 2) :],
                                           *rows[2:]]),
    "only the heading left": lines(lambda rows: rows[:1]),
    "emptied": words(""),
    "no heading": lines(lambda rows: rows[1:]),
    "a column renamed": lines(lambda rows: [rows[0].replace("round", "turn"), *rows[1:]]),
    "words for numbers": lines(lambda rows: [rows[0], rows[1].replace("0", "x"), *rows[2:]]),
    "a cell more": lines(lambda rows: [rows[0], "7," + rows[1], *rows[2:]]),
    "a row of the future": lines(lambda rows: [*rows, "9" + rows[-1][1:]]),
    "no text": lambda file: file.write_bytes(b"\xff\xfe\0"),
    "removed": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}  # fmt: skip
RESULT: dict[str, Edit] = {
    "a score edited": json_value(["results", 1, "scores", "local_mean"], 99.0),
    "the seed edited": json_value(["seed"], 7),
    "a score a word": json_value(["results", 1, "scores", "local_mean"], "much", sealed=True),
    "a score null": json_value(["results", 1, "scores", "local_mean"], None, sealed=True),
    "no scores": json_value(["results", 1, "scores"], {}, sealed=True),
    "scores a list": json_value(["results", 1, "scores"], [1], sealed=True),
    "results empty": json_value(["results"], [], sealed=True),
    "results a word": json_value(["results"], "good", sealed=True),
    "results null": json_value(["results"], None, sealed=True),
    "an unknown key": json_value(["colour"], "red", sealed=True),
    "a newer format": json_value(["format"], 99, sealed=True),
    "emptied": words(""),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "a list": words("[1, 2]"),
    "an empty object": words("{}"),
    "null": words("null"),
    "nested 100,000 deep": words(DEEP),
    "nested inside": words('{"results": ' + DEEP + "}"),
    "no text": lambda file: file.write_bytes(b"\xff\xfe\0"),
    "removed": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}
CLIENTS: dict[str, Edit] = {
    "a row dropped": METRICS["a row dropped"],
    "a score edited": lines(lambda rows: [*rows[:-1], rows[-1].replace("3", "4")]),
    "emptied": words(""),
    "removed": lambda file: file.unlink(),
}
CHOSEN = {"metrics.csv": METRICS, "result.json": RESULT, "clients.csv": CLIENTS}


def at_resume(place: Place, name: str, stopped: Path, whole: Whole) -> Iterator[Verdict]:
    """Edit metrics.csv of a stopped run and go on."""
    place.copy(stopped)
    METRICS[name](place.run / "metrics.csv")
    ended = place.start(place.words()).wait()
    yield place.judge(f"metrics.csv {name}", ended, whole, may_refuse=True)


def resumes(base: Base) -> Iterator[Trial]:
    """Yield the edits of metrics.csv before a resume."""
    stopped, whole = base.stopped(), base.whole()
    for name in METRICS:
        yield Trial(name, partial(at_resume, name=name, stopped=stopped, whole=whole))


KINDS = [
    Kind(
        "metrics.csv of a stopped run changed by hand",
        "rows dropped, doubled, swapped, cut, edited, the heading gone; the run goes on, and in "
        "the end the rows are those of a run that nothing stopped",
        resumes,
    ),
]
