"""Several: the tasks of several data sets as one, whose clients each belong to one of them.

Client 0 to K / D - 1 are those of the first set, and so on. Classes of two sets never compete: a
class set of one is another class set than that of the same name of another, and so is a scope.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pfedmma_dist.config.keys import DataConfig, Experiment
from pfedmma_dist.data.images.several import joined_images
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import ClassSet, Scope, Task

ALONE = (Experiment.feature_shift,)
"""Experiments whose clients belong to domains of a single data set."""


def refuse_domains(cfg: DataConfig) -> None:
    """Refuse an experiment that is of a single data set."""
    if cfg.names and cfg.task in ALONE:
        raise ValueError(
            f"data.task: {cfg.task.value} deals the domains of one data set, and data.names lists "
            f"{len(cfg.names)}; set data.task=base_to_novel or label_shift, or data.name"
        )


def joined_tasks(names: Sequence[str], tasks: Sequence[Task], templates: Sequence[str]) -> Task:
    """Return the tasks of data sets of these names as one.

    templates: prompt of the fixed-text methods of each. Rows, labels and clients of a set are what
    they were, behind those of the sets before it. The class set of training holds the classes of
    all sets side by side: it numbers them, and nothing competes in it.
    """
    images = joined_images(names, [own.images for own in tasks])
    sizes = [len(own.images) for own in tasks]
    labels = [len(own.images.class_names) for own in tasks]
    clients = [own.num_clients for own in tasks]
    first_row, first_label, first_client = (
        np.cumsum([0, *counts[:-1]]) for counts in (sizes, labels, clients)
    )
    num_clients, num_labels = sum(clients), sum(labels)

    def class_set(which: int, name: str) -> ClassSet:
        own = tasks[which].class_sets[name]
        label_of = np.full(num_labels, -1, np.int64)
        begin = first_label[which]
        label_of[begin : begin + len(own.label_of)] = own.label_of
        title = _within(names[which], name)
        return replace(own, name=title, label_of=label_of, template=templates[which])

    def scope(which: int, own: Scope) -> Scope:
        begin, end = first_client[which], first_client[which] + clients[which]
        if isinstance(own.rows, Partition):
            rows = _among(own.rows, first_row[which], begin, num_clients)
        else:
            rows = first_row[which] + own.rows
        title = _within(names[which], own.class_set)
        return replace(own, class_set=title, rows=rows, clients=np.arange(begin, end))

    sets = [class_set(n, name) for n, own in enumerate(tasks) for name in own.class_sets]
    trained = [_within(name, own.train_classes) for name, own in zip(names, tasks, strict=True)]
    title, class_sets = tasks[0].train_classes, {own.name: own for own in sets}
    kinds = [own.name for own in tasks[0].scopes]
    scopes = {(n, own.name): scope(n, own) for n, task in enumerate(tasks) for own in task.scopes}
    return Task(
        images=images,
        class_sets={title: _side_by_side(title, [class_sets[n] for n in trained]), **class_sets},
        train_classes=title,
        train=_joined([own.train for own in tasks], first_row),
        client_classes=_joined([own.client_classes for own in tasks], first_label),
        scopes=tuple(scopes[n, kind] for kind in kinds for n in range(len(tasks))),
        client_domains=np.repeat(np.arange(len(tasks)), clients),
        domain_names=tuple(names),
        softmaxes=tuple(trained),
    )


def _within(data_set: str, name: str) -> str:
    """Return what a class set of a data set is called."""
    return f"{name} of {data_set}"


def _side_by_side(title: str, sets: Sequence[ClassSet]) -> ClassSet:
    """Return the classes of all, one set after another."""
    label_of, begin = np.full(len(sets[0].label_of), -1, np.int64), 0
    for own in sets:
        here = own.label_of >= 0
        label_of[here] = begin + own.label_of[here]
        begin += len(own.names)
    return ClassSet(title, tuple(name for own in sets for name in own.names), label_of)


def _joined(parts: Sequence[Partition], begins: np.ndarray) -> Partition:
    """Return what all clients own; begins: what is added to the numbers of each part."""
    sizes = np.concatenate([own.sizes() for own in parts])
    members = [begin + own.members for begin, own in zip(begins, parts, strict=True)]
    return Partition(np.concatenate([[0], np.cumsum(sizes)]), np.concatenate(members))


def _among(own: Partition, first_row: int, first_client: int, num_clients: int) -> Partition:
    """Return what clients own who are some of so many, of whom the others own nothing."""
    sizes = np.zeros(num_clients, np.int64)
    sizes[first_client : first_client + own.num_clients] = own.sizes()
    return Partition(np.concatenate([[0], np.cumsum(sizes)]), first_row + own.members)
