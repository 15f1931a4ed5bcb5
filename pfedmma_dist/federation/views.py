"""Views: which images, in which augmentations, clients need the features of."""

from collections.abc import Sequence

import numpy as np

from pfedmma_dist.clip.cache import Views
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.classify import rows_of


def training_views(task: Task, shards: Sequence[np.ndarray], num_views: int) -> list[Views]:
    """Return the training image views of clients, in groups to encode together: one of each shard,
    so that no number of ranks changes a group.

    shards: the clients of each that read training images; a shard without any has no group.
    """
    views = np.arange(1, num_views + 1) if num_views > 1 else np.zeros(1, np.int64)
    return [_grid(task.train.rows_of_all(own), views) for own in shards if len(own)]


def scored_views(task: Task, clients: np.ndarray) -> list[Views]:
    """Return the test image views that these clients are scored on: one group, since base and
    novel images are scored by every client."""
    return [_grid(rows_of(task.scopes, clients), np.zeros(1, np.int64))]


def first_view(num_views: int) -> int:
    """Return the view in which an image is seen that is looked at once: the centre crop, or the
    first of several that are fixed."""
    return int(num_views > 1)


def _grid(rows: np.ndarray, views: np.ndarray) -> Views:
    """Pair every row with every view."""
    rows = np.unique(rows)
    return np.repeat(rows, len(views)), np.tile(views, len(rows))
