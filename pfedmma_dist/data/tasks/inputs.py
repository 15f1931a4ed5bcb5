"""Inputs: what a run is made from, in digests, so that a later start can tell what has changed.

By content: data may move to another disk and be touched, but a changed pixel, a renamed class or
another division is another run.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import Task

NAMED = 5
"""Images that a message names."""

AT_ONCE = 2**16
"""Images that are named at once: no list of all names is held."""

COLUMNS = ("image", "digest")
"""Of the table of images."""


def facts(task: Task, rows: np.ndarray, *, by_row: bool) -> dict[str, Any]:
    """Return digests of all that a task is: images, classes, who owns what, what is scored.

    rows: ascending, all that the task uses, inspected. by_row: augmentations are drawn by the row
    of an image, so that its number counts too.
    """
    images = task.images
    labels = {name: each.label_of[images.labels[rows]] for name, each in task.class_sets.items()}
    scored = [
        part
        for scope in task.scopes
        for part in (f"{scope.name} {scope.class_set} {scope.full}", *_places(scope.rows, rows))
    ]
    return {
        "images": digest(images_of(task, rows)),
        "scaling": None if images.scaling is None else str(images.scaling),
        "classes": {name: list(each.names) for name, each in task.class_sets.items()},
        "labels": _hash(*(part for item in labels.items() for part in item)),
        "owners": _hash(task.train_classes, *_places(task.train, rows), *([rows] * by_row)),
        "scored": _hash(*scored),
    }


def images_of(task: Task, rows: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yield the name of each image within its store, and the hexadecimal digest of its content."""
    assert task.images.content is not None
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        content = np.ascontiguousarray(task.images.content[part])
        words, width = content.tobytes().hex(), 2 * content[0].nbytes
        for place, name in enumerate(task.images.store.labels(part)):
            yield name, words[place * width : (place + 1) * width]


def digest(images: Iterable[tuple[str, str]]) -> str:
    """Return one digest of all these images, in their order."""
    return _hash_all(images)


def table(images: Iterable[tuple[str, str]]) -> str:
    """Return the images as a CSV table, a line each."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(images)
    return text.getvalue()


def changes(
    saved: Mapping[str, Any],
    now: Mapping[str, Any],
    images_then: Mapping[str, str] | None,  # None: not known any more
    images_now: Mapping[str, str],
) -> list[str]:
    """Say what differs between the facts of two tasks; causes, not what follows from them."""
    told = []
    for name, names in saved["classes"].items():
        others = now["classes"].get(name, [])
        if others != names:
            told.append(f"classes of {name!r}: {_differing(names, others)}")
    if saved["images"] != now["images"]:
        told.append(_images(images_then, images_now))
    rest = {
        "scaling": "pixels are normalised otherwise",
        "labels": "images have other classes",
        "owners": "clients own other images",
        "scored": "other images are scored",
    }
    if not told:
        told = [words for key, words in rest.items() if saved[key] != now[key]]
    return told


def _images(then: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    if then is None:
        return "images differ (the table that would name them is missing or not this run's)"
    changed = [name for name in then if name in now and then[name] != now[name]]
    gone = [name for name in then if name not in now]
    new = [name for name in now if name not in then]
    words = [*_some(changed, "changed"), *_some(gone, "is not used now"), *_some(new, "is new")]
    return "; ".join(words) or "images are in another order"


def _some(names: list[str], what: str) -> list[str]:
    told = [f"image {name} {what}" for name in names[:NAMED]]
    return [*told, f"and {len(names) - NAMED:,} more"] if len(names) > NAMED else told


def _differing(then: list[str], now: list[str]) -> str:
    gone, new = ([n for n in a if n not in b] for a, b in ((then, now), (now, then)))
    parts = [
        f"{', '.join(map(repr, names[:NAMED]))}{' ...' if len(names) > NAMED else ''} {what}"
        for names, what in ((gone, "then and not now"), (new, "now and not then"))
        if names
    ]
    return "; ".join(parts) or "in another order"


def _places(owned: Partition | np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return who owns what as places among the rows that are used, whatever their numbers."""
    if isinstance(owned, Partition):
        return owned.offsets, np.searchsorted(rows, owned.members)
    return (np.searchsorted(rows, owned),)


def _hash(*parts: Any) -> str:
    return _hash_all(parts)


def _hash_all(parts: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        raw = (
            part.astype(np.int64).tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        )
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()[:32]
