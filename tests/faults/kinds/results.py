"""Damage to what a run leaves for people: result.json, metrics.csv, clients.csv, config.yaml."""

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from launch import status, table
from pfedmma_dist import evaluate, train
from tests.faults.base import Base
from tests.faults.inside import MENDABLE
from tests.faults.mutations import DAMAGE, edit_json, edit_sealed
from tests.faults.place import REFUSAL, TRACE, Place
from tests.faults.ranks import Ranks
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole
from tests.runs import alone

FILES = ("result.json", "metrics.csv", "clients.csv", "config.yaml")
SERIES, EACH = 6, 50
DEEP = "[" * 100_000 + "]" * 100_000

WARNINGS = ("WARNING", "error", "skipped", "left out")
"""One of these stands beside the name of a file where something is said about it."""

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

COMMANDS = {
    "launch.table": table.main,
    "launch.status": status.main,
    "train": train.main,
    "evaluate": evaluate.main,
}


def at_resume(place: Place, name: str, stopped: Path, whole: Whole) -> Iterator[Verdict]:
    """Edit metrics.csv of a stopped run and go on."""
    place.copy(stopped)
    METRICS[name](place.run / "metrics.csv")
    ended = place.start(place.words()).wait()
    yield place.judge(f"metrics.csv {name}", ended, whole, may_refuse=True)


def read_back(place: Place, file: str, name: str, command: str, whole: Whole) -> Iterator[Verdict]:
    """Edit a file of a finished run, and ask a command about it."""
    place.copy(whole.folder)
    arguments = command_words(place, command)
    wanted = said(place, command, arguments)
    shutil.rmtree(place.run)
    place.copy(whole.folder)
    CHOSEN[file][name](place.run / file)
    yield verdict(f"{command}, {file} {name}", place, command, arguments, wanted, whole)


def command_words(place: Place, command: str) -> list[str]:
    """Return the arguments of a command about the run of this place."""
    return place.words() if command == "train" else [str(place.run)]


def said(place: Place, command: str, arguments: list[str]) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command in a process of its own."""

    def main(given: list[str]) -> int:
        output = io.StringIO()
        with contextlib.redirect_stdout(output), alone():
            code = COMMANDS[command](given)
        (place.path / "output.txt").write_text(output.getvalue())
        return code

    (place.path / "output.txt").unlink(missing_ok=True)
    [ended] = Ranks(place.path / "said", arguments, main=main).wait()
    output = place.path / "output.txt"
    return ended.code, output.read_text() if output.exists() else "", ended.err


def verdict(
    name: str,
    place: Place,
    command: str,
    arguments: list[str],
    wanted: tuple[int, str, str],
    whole: Whole,
) -> Verdict:
    """Ask, and judge what is said: the same as of the undamaged run, or a word about the damage.

    What `train` leaves in a finished run's folder must be whole, or spoken of.
    """
    code, output, errors = said(place, command, arguments)
    if TRACE in errors:
        return Verdict(name, Ending.TRACEBACK, errors.strip().splitlines()[-1][:200])
    everything = output + errors
    named = any(str(place.run / file) in everything for file in FILES)
    warned = named and any(
        word in everything for word in ("WARNING", "error", "skipped", "left out")
    )
    if code == 2:
        told = REFUSAL.findall(errors)
        fine = len(told) == 1 and str(place.run) in told[0]
        return Verdict(name, Ending.REFUSED if fine else Ending.FAILED, " ".join(told)[:200])
    if code not in (0, wanted[0]):
        return Verdict(name, Ending.FAILED, f"exit code {code}")
    if warned:
        return Verdict(name, Ending.FELL_BACK)
    if plain(output) != plain(wanted[1]):
        return Verdict(name, Ending.SILENT, "said something else")
    if command == "train":
        for file in ("result.json", "metrics.csv", "clients.csv"):
            if not alike(place.run / file, whole.folder / file):
                return Verdict(name, Ending.SILENT, f"{file} stays as it is, without a word")
    return Verdict(name, Ending.UNHARMED)


def plain(output: str) -> str:
    """Return what is said without times and sizes of memory, which differ from start to start."""
    kept = [line for line in output.splitlines() if "figures/" not in line]
    return "\n".join(kept)


def alike(file: Path, wanted: Path) -> bool:
    """Whether a file says what it said, times aside: a run that finishes again takes its own."""
    if not file.is_file():
        return False
    if file.read_bytes() == wanted.read_bytes():
        return True
    if file.suffix == ".json":
        try:
            found, right = (json.loads(path.read_text())["results"] for path in (file, wanted))
            return [row["scores"] for row in found] == [row["scores"] for row in right]
        except (ValueError, LookupError, TypeError, RecursionError):
            return False
    return False


def series(place: Place, seed: int, number: int, whole: Whole) -> Iterator[Verdict]:
    """Damage a file of a finished run at random, again and again, and ask for its table."""
    rng = random.Random(seed)
    place.copy(whole.folder)
    arguments = [str(place.run)]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        table.main(arguments)
    wanted = output.getvalue()
    for _ in range(number):
        shutil.rmtree(place.run)
        place.copy(whole.folder)
        file, how = rng.choice(FILES), rng.choice(sorted(DAMAGE))
        DAMAGE[how](place.run / file, rng)
        yield tabulated(f"{how} {file}", arguments, wanted)


def tabulated(name: str, arguments: list[str], wanted: str) -> Verdict:
    """Ask for the table in this process, and judge it."""
    output, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = table.main(arguments)
    except MENDABLE as error:
        return Verdict(name, Ending.TRACEBACK, f"told by no command: {error!r}"[:200])
    except Exception as error:
        return Verdict(name, Ending.TRACEBACK, repr(error)[:200])
    named = arguments[0] in errors.getvalue()
    if code == 2:
        return Verdict(name, Ending.REFUSED if named else Ending.FAILED, errors.getvalue()[:200])
    if output.getvalue() == wanted:
        return Verdict(name, Ending.UNHARMED)
    if named:
        return Verdict(name, Ending.FELL_BACK)
    return Verdict(name, Ending.SILENT, "another table")


def resumes(base: Base) -> Iterator[Trial]:
    """Yield the edits of metrics.csv before a resume."""
    stopped, whole = base.stopped(), base.whole()
    for name in METRICS:
        yield Trial(name, partial(at_resume, name=name, stopped=stopped, whole=whole))


def questions(base: Base) -> Iterator[Trial]:
    """Yield the edits of a finished run's files, each with every command that may read them."""
    whole = base.whole()
    for file, edits in CHOSEN.items():
        for name in edits:
            for command in ("launch.table", "train"):
                play = partial(read_back, file=file, name=name, command=command, whole=whole)
                yield Trial(f"{command}, {file} {name}", play)


def tables(base: Base) -> Iterator[Trial]:
    """Yield series of random damage."""
    number, whole = 25 if base.quick else EACH, base.whole()
    for seed in range(SERIES):
        yield Trial(f"series {seed}", partial(series, seed=seed, number=number, whole=whole))


KINDS = [
    Kind(
        "metrics.csv of a stopped run changed by hand",
        "rows dropped, doubled, swapped, cut, edited, the heading gone; the run goes on, and in "
        "the end the rows are those of a run that nothing stopped",
        resumes,
        sample=2,
    ),
    Kind(
        "result.json, metrics.csv, clients.csv of a finished run changed by hand",
        "`launch.table` and `train` are asked about the run: they say the same, or name the file",
        questions,
        sample=2,
    ),
    Kind(
        "random damage to a finished run's files, tabulated",
        "result.json, metrics.csv, clients.csv or config.yaml flipped, zeroed, cut, emptied, "
        "deleted, made a folder; `launch.table` prints the same or names the folder",
        tables,
    ),
]
