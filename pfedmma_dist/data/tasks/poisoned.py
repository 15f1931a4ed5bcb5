"""Poisoned: a task some of whose clients train on what they have spoilt."""

from dataclasses import replace

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config.attacking import AttackConfig
from pfedmma_dist.config.choices import AttackName
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.images.triggered import Triggered, digests
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import ClassSet, Scope, Task
from pfedmma_dist.spelling import hint

LOCAL, BACKDOOR = "local", "backdoor"
"""The scope of own test images; that of the same with a trigger, where right is the target."""


def poisoned(task: Task, cfg: AttackConfig, attackers: np.ndarray, seed: int) -> Task:
    """Return the task as attackers [A] make it for themselves; nobody else's images change."""
    if cfg.name is AttackName.label_flip:
        return _with_own_classes(_flipped(task, attackers), attackers)
    if cfg.name is AttackName.backdoor:
        return _with_own_classes(_backdoored(task, cfg, attackers, seed), attackers)
    return task


def _flipped(task: Task, attackers: np.ndarray) -> Task:
    """Give the attackers' training images of class c the label C - 1 - c."""
    classes, labels = task.class_sets[task.train_classes], task.images.labels.copy()
    rows = task.train.rows_of_all(attackers)
    columns = task.labels(task.train_classes, rows)
    labels[rows] = _label_of_column(classes)[len(classes.names) - 1 - columns]
    return replace(task, images=replace(task.images, labels=labels))


def _backdoored(task: Task, cfg: AttackConfig, attackers: np.ndarray, seed: int) -> Task:
    """Give some of the attackers' training images the trigger and the target's label, and add the
    scope of everybody else's test images of other classes, with both."""
    target = _target(task, cfg)
    local = next(scope for scope in task.scopes if scope.name == LOCAL)
    owned = [task.train.rows(client) for client in range(task.num_clients)]
    tried = [local.rows_of(client) for client in range(task.num_clients)]
    tried = [rows[task.images.labels[rows] != target] for rows in tried]
    copied: list[np.ndarray] = []
    begin = len(task.images)
    for client in range(task.num_clients):
        if client in attackers:
            draw = rng.generator(seed, "backdoor", client)
            count = max(1, round(cfg.poison * len(owned[client])))
            places = np.sort(draw.choice(len(owned[client]), count, replace=False))
            copied.append(owned[client][places])
            kept, tried[client] = np.delete(owned[client], places), tried[client][:0]
            owned[client] = np.concatenate([kept, begin + np.arange(count)])
        else:
            copied.append(tried[client])
            tried[client] = begin + np.arange(len(tried[client]))
        begin += len(copied[-1])
    images = _with_copies(task.images, np.concatenate(copied), cfg.trigger, target)
    scope = Scope(BACKDOOR, local.class_set, Partition.of(tried), full=False)
    return replace(task, images=images, train=Partition.of(owned), scopes=(*task.scopes, scope))


def _target(task: Task, cfg: AttackConfig) -> int:
    """Return the label of the target; ValueError where it is none that is trained."""
    classes = task.class_sets[task.train_classes]
    labels = _label_of_column(classes)
    if cfg.target is None:
        return int(labels[0])
    if cfg.target not in classes.names:
        raise ValueError(
            f"attack.target: {cfg.target!r} is none of the {len(classes.names)} classes that are "
            f"trained{hint(cfg.target, classes.names)}; name one of them, or set attack.target=null"
        )
    return int(labels[classes.names.index(cfg.target)])


def _with_copies(images: Images, copied: np.ndarray, side: float, target: int) -> Images:
    """Return the images with copies behind them that carry the trigger and this label."""

    def longer(table: np.ndarray | None) -> np.ndarray | None:
        return None if table is None else np.concatenate([table, table[copied]])

    content = images.content
    if content is not None:
        content = np.concatenate([content, digests(content[copied], side)])
    return replace(
        images,
        store=Triggered(images.store, len(images), copied, side),
        labels=np.concatenate([images.labels, np.full(len(copied), target, np.int64)]),
        domains=longer(images.domains),
        owners=longer(images.owners),
        content=content,
    )


def _label_of_column(classes: ClassSet) -> np.ndarray:
    """Return the image label [C] int64 of each column of a softmax."""
    labels = np.flatnonzero(classes.label_of >= 0)
    found = np.empty(len(classes.names), np.int64)
    found[classes.label_of[labels]] = labels
    return found


def _with_own_classes(task: Task, attackers: np.ndarray) -> Task:
    """Count the labels that attackers train with among their classes."""
    owned = [task.client_classes.rows(client) for client in range(task.num_clients)]
    for client in attackers.tolist():
        owned[client] = np.union1d(owned[client], task.images.labels[task.train.rows(client)])
    return replace(task, client_classes=Partition.of(owned))
