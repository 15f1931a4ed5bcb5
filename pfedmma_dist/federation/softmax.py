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
    own = softmax is Softmax.own
    return partial(task.own_columns, task.train_classes) if own else None
