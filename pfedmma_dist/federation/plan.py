"""Plan: who trains in which round, in which order, on which images in which batches.

Every run has one, drawn by its seed; federation.plan puts one from a file in its place, which may
come from another run or from another program (`plan_file.py` says how it is written).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pfedmma_dist.config.choices import Fleet, Privacy
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.cohort import unseen_clients
from pfedmma_dist.federation.plan_file import KEY, PlanFile, Visit, read
from pfedmma_dist.spelling import listed, quoted


@dataclass(frozen=True)
class Plan:
    """The visits of every round, in their order."""

    rounds: tuple[dict[int, Visit], ...]
    """Of each round, client -> its visit, in the order in which clients are visited."""

    def clients(self, round_index: int) -> np.ndarray:
        """Return the clients of a round in the order in which they are visited."""
        return np.array(list(self.rounds[round_index]), np.int64)

    def visit(self, round_index: int, client: int) -> Visit:
        """Return what a client of a round trains on."""
        return self.rounds[round_index][client]

    @property
    def digest(self) -> str:
        """Say in hexadecimal digits what it plans, whatever the file looks like."""
        found = hashlib.sha256()
        for index, visits in enumerate(self.rounds):
            for visit in visits.values():
                sizes = [len(rows) for rows, _ in visit.steps]
                numbers = [index, visit.client, len(sizes), *sizes]
                found.update(np.array(numbers, np.int64).tobytes())
                for rows, views in visit.steps:
                    found.update(np.concatenate([rows, views]).astype(np.int64).tobytes())
        return found.hexdigest()[:32]


def plan_of(cfg: Config, task: Task) -> Plan | None:
    """Return the plan in a file, None where the seed draws it; ValueError where it does not fit."""
    if cfg.federation.plan is None:
        return None
    _refuse_misfits(cfg)
    file = read(Path(cfg.federation.plan).expanduser())
    for words in _unfit(cfg, task, file):
        raise ValueError(words)
    rounds: list[dict[int, Visit]] = [{} for _ in range(cfg.federation.rounds)]
    for visit in file.visits:
        if visit.round_index < len(rounds):
            rounds[visit.round_index][visit.client] = visit
    return Plan(tuple(rounds))


def _refuse_misfits(cfg: Config) -> None:
    """Refuse what draws clients by rules of its own."""
    if cfg.system.fleet is not Fleet.none:
        raise ValueError(
            f"{KEY}: {quoted(cfg.federation.plan)} says who trains, and so does "
            f"system.fleet={cfg.system.fleet.value}; set system.fleet=none, or leave {KEY} out"
        )
    if cfg.privacy.name is not Privacy.none:
        raise ValueError(
            f"{KEY}: {quoted(cfg.federation.plan)} says who trains, and "
            f"privacy.name={cfg.privacy.name.value} counts on clients being drawn at random; set "
            f"privacy.name=none, or leave {KEY} out"
        )


def _unfit(cfg: Config, task: Task, file: PlanFile) -> Iterator[str]:
    """Yield why a file is no plan of this federation, and what to do."""
    own, where = cfg.federation, f"{KEY}: {file.path}"
    if file.rounds < own.rounds:
        yield (
            f"{where} plans {file.rounds} rounds, and federation.rounds={own.rounds}; set "
            f"federation.rounds={file.rounds} or fewer, or name a longer plan"
        )
    if file.clients != task.num_clients:
        yield (
            f"{where} is of {file.clients} clients, and this run has {task.num_clients}; set "
            f"data.num_clients={file.clients}, or name another plan"
        )
    if file.images != len(task.images):
        yield (
            f"{where} is of {file.images:,} images, and {task.images.place} has "
            f"{len(task.images):,}; set data.* as the plan's run had it, or name another plan"
        )
    yield from _renamed(task, file, where)
    if cfg.released.stale_text and all(visit.round_index for visit in file.visits):
        yield (
            f"{where} visits nobody in round 0, whose first client makes the class vectors of "
            "released.stale_text=true; set that to false, or name another plan"
        )
    never = set(unseen_clients(own, cfg.seed, task.num_clients).tolist())
    images_of: dict[int, np.ndarray] = {}
    for visit in file.visits:
        place, client = f"{where}, line {visit.line}", visit.client
        if client in never:
            yield f"{place}: client {client} never trains here (federation.unseen); take it out"
        if client not in images_of:
            images_of[client] = task.train.rows(client)
        strange = np.setdiff1d(visit.rows, images_of[client])
        if len(strange):
            yield (
                f"{place}: client {client} has no training image {listed(strange.tolist())}; its "
                f"own are {listed(images_of[client].tolist())}; set data.* and seed as the plan's "
                "run had them, or mend the line"
            )
        largest = max(len(rows) for rows, _ in visit.steps)
        if largest > own.batch_size:
            yield (
                f"{place}: a batch of {largest} images, and federation.batch_size={own.batch_size};"
                f" set federation.batch_size={largest} or more"
            )
        if len(visit.steps) % own.local_epochs:
            yield (
                f"{place}: {len(visit.steps)} batches are no {own.local_epochs} epochs of equal "
                "length; set federation.local_epochs as the plan's run had it"
            )
        yield from _seen_otherwise(cfg.data.views, visit, place)


def _renamed(task: Task, file: PlanFile, where: str) -> Iterator[str]:
    """Yield which image that a file names is another one here."""
    rows = np.array([image.row for image in file.named if image.row < file.images], np.int64)
    here = task.images.store.labels(rows)
    for image, row, name in zip(file.named, rows.tolist(), here, strict=True):
        label = task.images.class_names[task.images.labels[row]]
        if (image.name, image.label) != (name, label):
            yield (
                f"{where}, line {image.line}: image {row} is {quoted(image.name)} of class "
                f"{quoted(image.label)} there, and {quoted(name)} of {quoted(label)} here; set "
                "data.* as the plan's run had it"
            )


def _seen_otherwise(num_views: int, visit: Visit, place: str) -> Iterator[str]:
    """Yield which augmentation of a visit this run does not have."""
    views = np.concatenate([views for _, views in visit.steps])
    low, high = (1, num_views) if num_views > 1 else (0, 0 if num_views else 2**31 - 1)
    wrong = views[(views < low) | (views > high)]
    if len(wrong):
        told = "0 alone, the centre crop" if high == 0 else f"those from {low} to {high:,}"
        yield (
            f"{place}: view {wrong[0]}, and data.views={num_views} has {told}; set data.views as "
            "the plan's run had it"
        )
