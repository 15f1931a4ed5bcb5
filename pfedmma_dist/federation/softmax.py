"""Softmax of the training loss: the classes among which a client tells its images apart."""

from collections.abc import Callable
from functools import partial

import numpy as np

from pfedmma_dist.config.choices import Softmax
from pfedmma_dist.data.tasks.task import Task

Columns = Callable[[np.ndarray], np.ndarray]
"""Clients [G] -> columns [G, C] bool of the training softmax that take part in their loss."""


def training_columns(softmax: Softmax, task: Task) -> Columns | None:
    """Return which columns take part, or None where all do."""
    return partial(_own_columns, task) if softmax is Softmax.own else None


def _own_columns(task: Task, clients: np.ndarray) -> np.ndarray:
    """Return the clients' own classes, and what else they label their images with: a control of
    permuted labels has them label some with classes of others."""
    columns = task.own_columns(task.train_classes, clients)
    for own, client in zip(columns, clients, strict=True):
        own[task.labels(task.train_classes, task.train.rows(int(client)))] = True
    return columns
