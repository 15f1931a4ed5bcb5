"""Views: which images, in which augmentations, clients need the features of."""

from collections.abc import Sequence

import numpy as np

from pfedmma_dist.clip.cache import Views
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.classify import rows_of


def view_groups(
    task: Task, shards: Sequence[np.ndarray], num_views: int
) -> tuple[list[Views], list[Views]]:
    """Return the (training, test) image views of these shards' clients, in groups to encode
    together.

    Training images are grouped by shard, so that no number of ranks changes a group; test images
    are one group, since base and novel images are scored by every client.
    """
    views = np.arange(1, num_views + 1) if num_views > 1 else np.zeros(1, np.int64)
    train = [np.concatenate([task.train.rows(c) for c in clients]) for clients in shards]
    test = rows_of(task.scopes, np.concatenate([np.empty(0, np.int64), *shards]))
    return [_grid(rows, views) for rows in train], [_grid(test, np.zeros(1, np.int64))]


def first_view(num_views: int) -> int:
    """Return the view in which an image is seen that is looked at once: the centre crop, or the
    first of several that are fixed."""
    return int(num_views > 1)


def _grid(rows: np.ndarray, views: np.ndarray) -> Views:
    """Pair every row with every view."""
    rows = np.unique(rows)
    return np.repeat(rows, len(views)), np.tile(views, len(rows))
