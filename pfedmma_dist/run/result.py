"""result.json: what a finished run reached, of what, and how its tables looked then."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfedmma_dist.reading import FORMAT, Unreadable, read_json, seal, sealed
from pfedmma_dist.run.files import plain, write_json
from pfedmma_dist.run.folder import RunFolder

if TYPE_CHECKING:  # who only reads runs does without torch
    from pfedmma_dist.run.record import MethodResult

REMEDY = "restore it from a copy, or delete it and start the run again: it goes on where it was"


def write(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    """Write the result of a run, which is finished with it; its other files are written before."""
    files = {path.name: _sha256(path) for path in _beside(folder) if path.exists()}
    body = plain({"format": FORMAT, **facts, "files": files})
    write_json(folder.result, {**body, "sha256": seal(body)})


def read(folder: RunFolder) -> dict[str, Any] | None:
    """Return the result of a finished run, None where the run is not finished.

    Unreadable for anything that is not as it was written. One of format 0 cannot tell.
    """
    path = folder.result
    try:
        body = sealed(path, read_json(path, dict, REMEDY), REMEDY)
    except FileNotFoundError:
        return None
    rows = body.get("results")
    if not isinstance(rows, list) or not rows:
        raise Unreadable(path, "holds no results", REMEDY)
    for row in rows:
        scores = row.get("scores") if isinstance(row, dict) else None
        if not isinstance(scores, dict) or not scores or not all(map(_is_number, scores.values())):
            raise Unreadable(path, f"holds a row without scores: {str(row)[:60]}", REMEDY)
    return body


def rows(folder: RunFolder, body: Mapping[str, Any]) -> list[MethodResult]:
    """Return the rows of a result that `read` has returned."""
    from pfedmma_dist.run.record import MethodResult

    try:
        return [MethodResult(**row) for row in body["results"]]
    except TypeError as error:
        raise Unreadable(
            folder.result, f"holds a row that is no method's ({error})", REMEDY
        ) from error


def altered(folder: RunFolder, result: Mapping[str, Any]) -> dict[Path, str]:
    """Return the files of a finished run that are not as it left them, and what they are."""
    written = result.get("files", {})
    found = {}
    for path in _beside(folder):
        if path.name in written and not path.is_file():
            found[path] = "is missing"
        elif path.name in written and _sha256(path) != written[path.name]:
            found[path] = "is not as the run left it"
    return found


def _beside(folder: RunFolder) -> tuple[Path, ...]:
    return folder.config, folder.metrics, folder.clients, folder.images, folder.clock


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
