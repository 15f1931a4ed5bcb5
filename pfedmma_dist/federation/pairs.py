"""Pairs: which of some clients is scored on which of the images that are classified for them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.data.tasks.task import Scope, Task
from pfedmma_dist.federation.laid import placed


@dataclass(frozen=True)
class Pairs:
    """n pairs of one test set: a client, or all of them where one answer serves all, and an
    image."""

    who: np.ndarray  # [n] places among W: the clients [G], or the one that stands for all
    held: np.ndarray  # [n] places on the first axis of logits: whose numbers answer
    places: np.ndarray  # [n] ascending places among the images that are classified there
    sizes: np.ndarray  # [W] images of each
    columns: np.ndarray | None  # [W, C] bool, of the softmax: the client's own classes; None: all
    device: torch.device  # where images are classified

    @classmethod
    def of(
        cls,
        task: Task,
        scope: Scope,
        clients: np.ndarray,
        wanted: list[np.ndarray],
        device: torch.device,
    ) -> "Pairs":
        """wanted: sorted image rows by client, or of all clients, which hold the same numbers."""
        alike, own = len(wanted) < len(clients), scope.own_classes
        rows = [scope.rows_of_all(each) for each in ([clients] if alike else clients[:, None])]
        # of a common test set clients that are alike all have the same right
        common = np.array([*map(len, rows)], np.int64) if scope.common else None
        sizes = scope.apart.sizes(clients) if common is None else common
        who = np.repeat(np.arange(len(sizes)), sizes)
        found = np.concatenate(list(map(np.searchsorted, wanted, rows)))
        order = np.argsort(found, kind="stable")
        held = np.zeros_like(who) if alike else who
        columns = task.own_columns(scope.class_set, clients) if own else None
        return cls(who[order], held[order], found[order], sizes, columns, device)

    @cached_property
    def there(self) -> tuple[Tensor, ...]:
        """The pairs on the device, and the classes that are not a client's own."""
        assert self.columns is not None
        pairs = placed([self.who, self.held, self.places], self.device)
        return *pairs, *placed([~self.columns], self.device)

    def among_own(self, logits: Tensor, labels: Tensor, begin: int) -> Tensor:
        """Return whether each pair is answered right [m] bool among the client's own classes, of
        those with one of the images from place `begin` on; these have logits [G, B, C] and labels
        [G, B]."""
        part = self._part(begin, logits.shape[1])
        who, held, images = (each[part] for each in self.there[:3])
        left = logits[held, images - begin].masked_fill(self.there[3][who], -torch.inf)
        return left.argmax(dim=1) == labels[held, images - begin]

    def right(self, hits: np.ndarray, own: np.ndarray | None, begin: int) -> np.ndarray:
        """Return how many images each has right [W] int64, of those from place `begin` on.

        hits: whether each is classified right among all classes [G, B]. own: what `among_own` says,
        where that is asked.
        """
        part = self._part(begin, hits.shape[1])
        right = hits[self.held[part], self.places[part] - begin] if own is None else own
        return np.bincount(self.who[part][right], minlength=len(self.sizes))

    def _part(self, begin: int, count: int) -> slice:
        return slice(*np.searchsorted(self.places, [begin, begin + count]))
