"""Recorded: what a run's own folder tells of its clients and classes, without a single image.

A checkpoint says the names of all classes, clients.csv how many training images each client has.
That is all a federation needs to give its clients their numbers back: who lies in which shard, who
has trained and what was sent to whom follow from counts and the seed. Which images they were is
needed to train on, or to be scored, and by nobody who classifies new ones.
"""

import re
from ast import literal_eval
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.several import heading_of
from pfedmma_dist.data.images.images import Images, Inspection, Scaling
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.sets.registry import sets_of
from pfedmma_dist.data.tasks.task import ClassSet, Task
from pfedmma_dist.reading import Unreadable, read_rows
from pfedmma_dist.run import manifest, result
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import DAMAGE, candidates

SIZES = ("client", "train_images")
"""Columns of clients.csv that are read."""

DOMAIN = "domain"

STATISTICS = re.compile(r"Scaling\(mean=(\(.+\)), std=(\(.+\))\)")


@dataclass(frozen=True)
class Absent:
    """A store of images that nobody may open."""

    place: str
    span = 1

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        self._refuse()

    def name(self, row: int) -> str:
        return f"image {row} of {self.place}"

    def labels(self, rows: np.ndarray) -> list[str]:
        return [f"image {row}" for row in rows]

    def inspect(self, rows: np.ndarray) -> Inspection:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ValueError(f"data.root: the images of {self.place} are not read here")


def recorded_facts(folder: RunFolder) -> Mapping[str, Any] | None:
    """Return what the newest checkpoint, or the result, says that it was made of: `configuration`,
    `task` and `weights`; None where neither says so (format 0, or nothing saved yet)."""
    for path in candidates(folder.checkpoints):
        try:
            record = manifest.read(path)
        except DAMAGE:
            continue
        if record.format > 0:
            return record.meta
    found = result.read(folder)
    return found if found is not None and {"task", "weights"} <= found.keys() else None


def why_not_recorded(cfg: Config, folder: RunFolder, facts: Mapping[str, Any] | None) -> str:
    """Say what of its clients a run's folder does not tell, so that its images have to be there;
    nothing where it tells enough."""
    if facts is None:
        return "its state is of format 0, which does not tell its classes"
    if cfg.federation.plan is not None:
        return "federation.plan names images"
    finished = result.read(folder)
    if finished is None:
        return f"it is not finished, and {folder.clients.name} is written at the end"
    touched = result.altered(folder, finished).get(folder.clients)
    if touched:
        return f"{folder.clients.name} {touched}"
    try:
        read_rows(folder.clients, SIZES, "restore it")
    except Unreadable as error:
        return f"{folder.clients.name} {error.problem}"
    return ""


def recorded_task(cfg: Config, folder: RunFolder, facts: Mapping[str, Any]) -> Task:
    """Return the clients and classes of a run, with images that nobody can open and no test set.

    cfg: of the run. facts: of a run that tells enough.
    """
    rows = read_rows(folder.clients, SIZES, "restore it")
    sizes = np.array([int(row["train_images"]) for row in rows], np.int64)
    domains = [row.get(DOMAIN, "") for row in rows]
    classes = {name: tuple(names) for name, names in facts["task"]["classes"].items()}
    train_classes, headings = next(iter(classes)), list(map(heading_of, cfg.data.names or ()))
    names = headings or sorted({*domains} - {""})
    softmaxes = tuple(f"{train_classes} of {heading}" for heading in headings)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return Task(
        images=_images(cfg, classes, int(ends[-1]), facts["task"]["scaling"]),
        class_sets=dict(_class_sets(cfg, classes, headings)),
        train_classes=train_classes,
        train=Partition(ends, np.arange(ends[-1])),
        client_classes=Partition.of([np.empty(0, np.int64)] * len(sizes)),
        scopes=(),
        client_domains=np.array([names.index(one) for one in domains]) if names else None,
        domain_names=tuple(names),
        softmaxes=softmaxes,
    )


def scaling_of(words: str | None) -> Scaling | None:
    """Return what a checkpoint says that pixels are normalised by; None: CLIP's own numbers."""
    found = STATISTICS.fullmatch(words or "")
    return Scaling(*map(literal_eval, found.groups())) if found else None


def _images(
    cfg: Config, classes: Mapping[str, tuple[str, ...]], count: int, scaling: str | None
) -> Images:
    """Return so many images that are nowhere."""
    every = tuple(dict.fromkeys(name for names in classes.values() for name in names))
    rows = np.arange(count)
    labels = np.zeros(count, np.int64)
    place = str(Path(cfg.data.root).expanduser())
    return Images(
        Absent(place), labels, every, rows, rows[:0], scaling=scaling_of(scaling)
    )  # fmt: skip


def _class_sets(
    cfg: Config, classes: Mapping[str, tuple[str, ...]], headings: list[str]
) -> Iterator[tuple[str, ClassSet]]:
    """Yield the class sets by name, with the prompts of their data sets where these are several."""
    sections, begin = sets_of(cfg.data), 0
    count = sum(map(len, classes.values()))
    for name, names in classes.items():
        label_of = np.full(count, -1, np.int64)
        label_of[begin : begin + len(names)] = np.arange(len(names))
        begin += len(names)
        own = [place for place, one in enumerate(headings) if name.endswith(f" of {one}")]
        template = sections[own[0]].template if own else None
        yield name, ClassSet(name, names, label_of, template)
