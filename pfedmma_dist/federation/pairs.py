"""Pairs: which of some clients is scored on which of the images that are classified for them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.data.tasks.task import Scope, Task


@dataclass(frozen=True)
class Pairs:
    """n pairs of one test set: a client, or all of them where one answer serves all, and an
    image."""

    who: np.ndarray  # [n] places among W: the clients [G], or the one that stands for all
    held: np.ndarray  # [n] places on the first axis of logits: whose numbers answer
    places: np.ndarray  # [n] ascending places among the images that are classified there
    sizes: np.ndarray  # [W] images of each
    columns: np.ndarray | None  # [W, C] bool, of the softmax: the client's own classes; None: all

    @classmethod
    def of(cls, task: Task, scope: Scope, clients: np.ndarray, wanted: list[np.ndarray]) -> "Pairs":
        """wanted: sorted image rows by client, or of all clients, which hold the same numbers."""
        alike, own = len(wanted) < len(clients), scope.own_classes
        rows = [scope.rows_of_all(each) for each in ([clients] if alike else clients[:, None])]
        # of a common test set clients that are alike all have the same right
        common = np.full(len(rows), len(scope.rows)) if scope.common else None
        sizes = scope.rows.sizes(clients) if common is None else common
        who = np.repeat(np.arange(len(sizes)), sizes)
        found = np.concatenate(list(map(np.searchsorted, wanted, rows)))
        order = np.argsort(found, kind="stable")
        held = np.zeros_like(who) if alike else who
        columns = task.own_columns(scope.class_set, clients) if own else None
        return cls(who[order], held[order], found[order], sizes, columns)

    def right(self, logits: Tensor, hits: np.ndarray, labels: np.ndarray, begin: int) -> np.ndarray:
        """Return how many images each has right [W] int64, of those from place `begin` on.

        logits: of these [G, B, C]. hits: whether each is classified right among all classes [G, B].
        """
        part = slice(*np.searchsorted(self.places, [begin, begin + hits.shape[1]]))
        held, images, who = self.held[part], self.places[part] - begin, self.who[part]
        if self.columns is None:
            right = hits[held, images]
        else:
            others = torch.from_numpy(~self.columns[who]).to(logits.device)
            left = logits[held, images].masked_fill(others, -torch.inf)
            right = left.argmax(dim=1).cpu().numpy() == labels[held, images]
        return np.bincount(who[right], minlength=len(self.sizes))
