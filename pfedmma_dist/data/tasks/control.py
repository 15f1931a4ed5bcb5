"""Controls of a task: the same images and the same clients, with labels or names in disorder."""

from dataclasses import replace

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config.choices import Order
from pfedmma_dist.config.keys import ControlConfig
from pfedmma_dist.data.tasks.task import ClassSet, Task


def controlled(task: Task, cfg: ControlConfig, seed: int) -> Task:
    """Return the task as the negative controls of a configuration want it."""
    if cfg.labels is Order.permuted:
        task = _with_permuted_labels(task, seed)
    if cfg.names is Order.permuted:
        sets = {name: _with_permuted_names(each, seed) for name, each in task.class_sets.items()}
        task = replace(task, class_sets=sets)
    return task


def _with_permuted_labels(task: Task, seed: int) -> Task:
    """Deal the labels of all training images anew among them.

    A client keeps its images and their number, and trains with labels of anybody's; which classes
    count as its own, and every test image, stay as they are.
    """
    labels, rows = task.images.labels.copy(), np.sort(task.train.members)
    labels[rows] = rng.generator(seed, "control labels").permutation(labels[rows])
    return replace(task, images=replace(task.images, labels=labels))


def _with_permuted_names(classes: ClassSet, seed: int) -> ClassSet:
    """Hand the names round one circle through all classes, so that none keeps its own."""
    if len(classes.names) < 2:
        raise ValueError(
            f"control.names: permuted needs two classes to exchange names, and {classes.name!r} "
            f"has {len(classes.names)}; set control.names=as_given"
        )
    circle = rng.generator(seed, f"control names {classes.name}").permutation(len(classes.names))
    names = np.array(classes.names, object)
    names[circle] = names[np.roll(circle, 1)]
    return replace(classes, names=tuple(names))
