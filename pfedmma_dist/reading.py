"""Read back files of ours: opened, parsed and checked in one place, refused in one voice.

Whatever became of a file (cut, emptied, edited, nested without end, put there by somebody else),
what leaves this module is its content in the shape that was asked for, or an Unreadable that names
the file, what is wrong with it, and what to do about it. FileNotFoundError passes through: whether
a file may be missing is for the caller to say.
"""

import csv
import hashlib
import io
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pfedmma_dist.spelling import quoted

FORMAT = 1
"""Of config.yaml, manifests, result.json, sweep.csv and what else we read back. Files without a
number are of format 0, as every version before the first numbered one wrote them."""

T = TypeVar("T")


class Unreadable(ValueError):
    """Say that a file of ours is not what we wrote."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        """problem: completes "PATH ..."; remedy: what the user can do, in the imperative."""
        self.path, self.problem, self.remedy = path, problem, remedy
        super().__init__(f"{path} {problem}; {remedy}")


class Newer(Unreadable):
    """Say that a file is of a format that only a newer program knows: it is not damaged."""


def read_text(path: Path, remedy: str) -> str:
    """Return the UTF-8 text of a file."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is no UTF-8 text (byte {error.start:,})", remedy) from error
    except OSError as error:
        raise Unreadable(path, f"cannot be read ({error.strerror or error})", remedy) from error


def read_json(path: Path, kind: type[T], remedy: str) -> T:
    """Return the JSON value of a file, a `kind` (dict, list ...) of a format that we know."""
    text = read_text(path, remedy)
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise Unreadable(path, "is nested too deep for any file of ours", remedy) from error
    except ValueError as error:
        words = "is empty" if not text.strip() else f"is not readable as JSON ({error})"
        raise Unreadable(path, words, remedy) from error
    if not isinstance(value, kind):
        found, wanted = type(value).__name__, kind.__name__
        raise Unreadable(path, f"holds a {found} where a {wanted} was written", remedy)
    if isinstance(value, dict):
        check_format(path, value.get("format", 0))
    return value


def from_json(text: str | bytes) -> Any:
    """Return the value of a JSON text from anybody; ValueError, in words, where it is none.

    An object with a key twice is none: which of the two was meant cannot be told.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {quoted(key)} stands twice in an object")
        found[key] = value
    return found


def read_rows(path: Path, columns: Collection[str], remedy: str) -> list[dict[str, str]]:
    """Return the complete rows of a CSV file that has at least these columns, as text.

    A last line that a crash cut off is none. A column `format`, where there is one, is checked.
    """
    lines = list(io.StringIO(read_text(path, remedy), newline=""))  # splitlines knows more ends
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    try:
        reader = csv.DictReader(lines, strict=True)
        names = list(reader.fieldnames or ())
        rows = list(reader)
    except csv.Error as error:
        raise Unreadable(path, f"is not readable as CSV ({error})", remedy) from error
    missing = [name for name in columns if name not in names]
    if missing:
        raise Unreadable(path, f"has no column {missing[0]}", remedy)
    for place, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            words = f"has a line of another length than its heading (line {place})"
            raise Unreadable(path, words, remedy)
        check_format(path, row.get("format", 0))
    return rows


def check_format(path: Path, number: Any) -> int:
    """Return the number of a file's format; Unreadable for one of a newer program, or none."""
    try:
        known = int(number)
    except (TypeError, ValueError):
        known = -1
    if isinstance(number, bool | float) or known < 0:
        raise Unreadable(path, f"says format {number!r}, which is no number of one", "restore it")
    if known > FORMAT:
        raise Newer(
            path,
            f"is of format {known}, and this program knows formats up to {FORMAT}",
            "use the program that wrote it, or a newer one",
        )
    return known


def seal(body: Any) -> str:
    """Return the sha256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def sealed(path: Path, value: Mapping[str, Any], remedy: str) -> dict[str, Any]:
    """Return a JSON value without its `sha256`, which must be that of the rest.

    A file of format 0 was written without one.
    """
    body = {key: item for key, item in value.items() if key != "sha256"}
    if "format" in value and value.get("sha256") != seal(body):
        raise Unreadable(path, "does not have the sha256 it was written with", remedy)
    return body
