"""Validation: images of clients that are neither trained nor tested on, to choose a round by.

Sets that bring some are taken at their word; else a share of each client's training images is held
apart. Without `data.validation` there are none, and every task is what it was.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import Scope, Task

log = logging.getLogger(__name__)

FEW_SHOTS = 4
"""Validation images per class at most where training has few: min(shots, 4) (CoOp)."""


def validated(task: Task, cfg: DataConfig, seed: int, brought: Callable[[], Partition]) -> Task:
    """Return the task with a scope of each client's own validation images, if any are asked for.

    brought: gives the clients what the set itself brings, called only where it brings some.
    """
    images, share = task.images, cfg.validation
    if not share:
        return task
    train = task.train
    if len(images.val):
        own = brought()
        log.info(
            "data.validation: %s brings %d validation images, of which clients get %d; no training "
            "image is held apart",
            images.place, len(images.val), len(own.members),
        )  # fmt: skip
        told = f"{images.place} brings {len(images.val)} validation images, and none is of a class"
        told += " that a client trains on; add some, or set data.validation=0"
    else:
        train, own = held_apart(train, images.labels, share, seed)
        log.info(
            "data.validation: %d of %d training images are held apart for validation",
            len(own.members), len(task.train.members),
        )  # fmt: skip
        told = f"{share:g} of the clients' training images, each class of which keeps one, is no "
        told += "image at all; set a larger share, or 0 for none"
    if not len(own.members):
        raise ValueError(f"data.validation: {told}")
    first = [scope.full for scope in task.scopes].index(True)
    val = Scope("val", task.train_classes, own, full=False)
    return replace(task, train=train, scopes=(*task.scopes[:first], val, *task.scopes[first:]))


def held_apart(
    train: Partition, labels: np.ndarray, share: float, seed: int
) -> tuple[Partition, Partition]:
    """Return what is left of each client's training rows, and the rows held apart for validation.

    These are the share of its rows, spread over its classes as evenly as whole numbers allow. The
    last row of a class stays, so that a client trains on the classes that it did.
    """
    rest, taken = [], []
    for client in range(train.num_clients):
        rows = train.rows(client)
        rows = rows[rng.generator(seed, "validation", client).permutation(len(rows))]
        rows = rows[np.argsort(labels[rows], kind="stable")]
        free = np.flatnonzero(np.diff(labels[rows], prepend=-1) == 0)
        count = min(round(share * len(rows)), len(free))
        places = free[(2 * np.arange(count) + 1) * len(free) // max(2 * count, 1)]
        taken.append(np.sort(rows[places]))
        rest.append(np.sort(np.delete(rows, places)))
    return Partition.of(rest), Partition.of(taken)
