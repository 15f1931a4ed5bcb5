"""Softmax: the classes that compete in training and in scores, and who takes part in the loss."""

from collections.abc import Callable
from functools import partial

import numpy as np

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.choices import Softmax
from pfedmma_dist.data.tasks.task import Task

Columns = Callable[[np.ndarray], np.ndarray]
"""Clients [G] -> columns [G, C] bool of the training softmax that take part in their loss."""


def texts_of(task: Task, clip: FrozenCLIP, template: str) -> dict[str, ClassText]:
    """Return the text side of every class set in which classes compete, by its name.

    template: prompt of the fixed-text methods, where a data set does not bring its own.
    """
    trained = task.softmaxes or (task.train_classes,)
    return {
        name: class_text(clip, own.names, own.template or template, name in trained)
        for name, own in task.class_sets.items()
        if not task.softmaxes or name != task.train_classes
    }


def training_columns(softmax: Softmax, task: Task) -> Columns | None:
    """Return which columns take part, or None where all do."""
    return partial(_own_columns, task) if softmax is Softmax.own else None


def _own_columns(task: Task, clients: np.ndarray) -> np.ndarray:
    """Return the clients' own classes, and what else they label their images with: a control of
    permuted labels has them label some with classes of others."""
    columns = task.own_columns(task.softmax_of(clients), clients)
    for own, client in zip(columns, clients, strict=True):
        own[task.trained_columns(task.train.rows(int(client)))] = True
    return columns
