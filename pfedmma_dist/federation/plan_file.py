"""Plan file: the lines of JSON in which a plan travels between runs, and between programs.

The first line says what the plan is of, all others are in any order but for the visits, which stand
in the order in which clients are visited:

    {"plan": 1, "rounds": 5, "clients": 4, "images": 96}
    {"image": 40, "name": "face/0040.jpg", "class": "face"}
    {"round": 0, "client": 3, "batches": [[40, 1, 49, 8], [5, 35]], "views": [[0, 0, 0, 0], [0, 0]]}

`plan` is the version of the format. Rounds, clients and images count from 0; `images` is how many
the data set lists, training and test, and an image is its number in that list. A line per visit has
a batch per step, of all local epochs. `views` may be left out: 0, the centre crop, throughout; v is
the v-th augmentation of an image (data.views). Lines of images may be left out, too; where they
stand, they must be those that the run finds.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.reading import from_json, read_text
from pfedmma_dist.spelling import quoted

KEY = "federation.plan"
VERSION = 1
REMEDY = "mend it there, or name another file"
MOST = 2**31
"""What counts stay below."""

Steps = list[tuple[np.ndarray, np.ndarray]]
"""Of one client's round: (image rows [B], the view of each [B]) of every step, int64."""


@dataclass(frozen=True)
class Visit:
    """A client's training of one round."""

    line: int  # of the file, from 1
    round_index: int
    client: int
    steps: Steps

    @property
    def rows(self) -> np.ndarray:
        """All its image rows."""
        return np.concatenate([rows for rows, _ in self.steps])


@dataclass(frozen=True)
class Named:
    """An image by name."""

    line: int
    row: int
    name: str  # within the data set
    label: str  # its class, as in a prompt


@dataclass(frozen=True)
class PlanFile:
    """What a file says."""

    path: Path
    rounds: int
    clients: int
    images: int
    named: tuple[Named, ...]
    visits: tuple[Visit, ...]


class Unplanned(ValueError):
    """Say what is wrong with a line."""


def read(path: Path) -> PlanFile:
    """Return what a file says; ValueError with the line of what is no plan in itself."""
    try:
        text = read_text(path, REMEDY)
    except FileNotFoundError as error:
        raise ValueError(f"{KEY}: {path} is not there; name the file") from error
    except ValueError as error:
        raise ValueError(f"{KEY}: {error}") from error
    head: dict[str, int] = {}
    named: dict[int, Named] = {}
    visits: dict[tuple[int, int], Visit] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            if not head:
                head = _head(record)
            elif "image" in record:
                image = _image(record, number, head)
                _once(image.row in named, f"image {image.row}")
                named[image.row] = image
            else:
                own = _visit(record, number, head)
                key = own.round_index, own.client
                _once(key in visits, f"client {own.client} in round {own.round_index}")
                visits[key] = own
        except ValueError as error:
            raise ValueError(f"{KEY}: {path}, line {number}: {error}; {REMEDY}") from error
    if not head:
        raise ValueError(f"{KEY}: {path} is empty; {REMEDY}")
    sizes = head["rounds"], head["clients"], head["images"]
    return PlanFile(path, *sizes, tuple(named.values()), tuple(visits.values()))


def text_of(
    rounds: int, clients: int, images: int, named: Iterable[Named], visits: Iterable[Visit]
) -> Iterator[str]:
    """Yield the lines of a file, each with its end."""
    yield _line({"plan": VERSION, "rounds": rounds, "clients": clients, "images": images})
    for image in named:
        yield _line({"image": image.row, "name": image.name, "class": image.label})
    for visit in visits:
        own: dict[str, Any] = {"round": visit.round_index, "client": visit.client}
        own["batches"] = [rows.tolist() for rows, _ in visit.steps]
        if any(views.any() for _, views in visit.steps):
            own["views"] = [views.tolist() for _, views in visit.steps]
        yield _line(own)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def _record(line: str) -> dict[str, Any]:
    try:
        record = from_json(line)
    except ValueError as error:
        raise Unplanned(f"not readable as JSON ({error})") from error
    if not isinstance(record, dict):
        raise Unplanned(f"{quoted(record)} is no object")
    return record


def _head(record: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes in the first line."""
    version = record.get("plan")
    if type(version) is not int or version != VERSION:
        raise Unplanned(f"plan: {quoted(version)} is not {VERSION}, the format known here")
    return {key: _count(record, key, MOST, least=1) for key in ("rounds", "clients", "images")}


def _image(record: Mapping[str, Any], line: int, head: Mapping[str, int]) -> Named:
    for key in ("name", "class"):
        if not isinstance(record.get(key), str):
            raise Unplanned(f"{key}: {quoted(record.get(key))} is no text")
    row = _count(record, "image", head["images"])
    return Named(line, row, record["name"], record["class"])


def _visit(record: Mapping[str, Any], line: int, head: Mapping[str, int]) -> Visit:
    index, client = (_count(record, key, head[f"{key}s"]) for key in ("round", "client"))
    batches = _batches(record, "batches", head["images"])
    views = [np.zeros(len(rows), np.int64) for rows in batches]
    if "views" in record:
        views = _batches(record, "views", MOST)
        if list(map(len, views)) != list(map(len, batches)):
            raise Unplanned("views: not one for each image of each batch")
    return Visit(line, index, client, list(zip(batches, views, strict=True)))


def _batches(record: Mapping[str, Any], key: str, below: int) -> list[np.ndarray]:
    """Return whole numbers below a limit, batch by batch."""
    found = record.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(b, list) for b in found):
        raise Unplanned(f"{key}: {quoted(found)} is no list of batches")
    for batch in found:
        if not batch:
            raise Unplanned(f"{key}: a batch without an image")
        for number in batch:
            if type(number) is not int or not 0 <= number < below:
                raise Unplanned(f"{key}: {quoted(number)} is no whole number from 0 to {below - 1}")
    return [np.array(batch, np.int64) for batch in found]


def _count(record: Mapping[str, Any], key: str, below: int, least: int = 0) -> int:
    value = record.get(key)
    if type(value) is not int or not least <= value < below:
        given = quoted(value) if key in record else "nothing"
        raise Unplanned(f"{key}: {given} is no whole number from {least} to {below - 1}")
    return value


def _once(there: bool, what: str) -> None:
    if there:
        raise Unplanned(f"{what} stands twice")
