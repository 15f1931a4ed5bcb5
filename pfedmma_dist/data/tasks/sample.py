"""Sample: fewer of the test images that all clients share, drawn once by the seed."""

from dataclasses import replace

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import Scope, Task


def thinned(task: Task, num_images: str, seed: int) -> Task:
    """Return the task with at most so many images (`all`: all) in each test set that is common."""
    if num_images == "all":
        return task
    return replace(task, scopes=tuple(_thinned(one, int(num_images), seed) for one in task.scopes))


def _thinned(scope: Scope, count: int, seed: int) -> Scope:
    if isinstance(scope.rows, Partition) or len(scope.rows) <= count:
        return scope
    draw = rng.generator(seed, f"scored images {scope.name}")
    rows = np.sort(draw.choice(scope.rows, count, replace=False))
    return replace(scope, rows=rows, num_all=len(scope.rows))
