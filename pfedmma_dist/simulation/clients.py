"""Clients: those of a simulation one by one, as plain objects, whichever rank hosts them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import overload

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.simulation.records import ByScope, Client, Numbers


class Clients(Sequence[Client]):
    """All clients; each is looked up when it is asked for, and is a copy.

    Under several ranks all of them must ask, for the same client: the one that hosts it answers.
    """

    def __init__(
        self,
        federation: Federation,
        scores: ByScope,
        at_work: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """scores: the newest, {}: none yet. at_work: borrows the process for a block."""
        self._federation, self._scores, self._at_work = federation, scores, at_work

    def __len__(self) -> int:
        return self._federation.task.num_clients

    @overload
    def __getitem__(self, index: int) -> Client: ...
    @overload
    def __getitem__(self, index: slice) -> list[Client]: ...
    def __getitem__(self, index: int | slice) -> Client | list[Client]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"client {index}: there are {len(self)}, counted from 0")
        return self._client(int(place))

    def __iter__(self) -> Iterator[Client]:
        return (self[index] for index in range(len(self)))

    def _client(self, index: int) -> Client:
        federation, task = self._federation, self._federation.task
        own = np.array([index])
        labels = np.unique(federation.label_of(task.train.rows(index)))
        names = federation.text_of(own).names
        domains = [name for name, members in task.domains.items() if index in members]
        with self._at_work():
            row = _row(federation, own)
        layout = federation.layout
        values = {name: each[0].numpy() for name, each in layout.views(row).items()}
        shared = {spec.name for spec in layout.specs if spec.shared}
        trained = {spec.name for spec in layout.specs}
        return Client(
            index=index,
            num_images=int(federation.sizes[index]),
            classes=tuple(names[label] for label in labels),
            domain=domains[0] if domains else "",
            scores=_scores(self._scores, index),
            private={n: x.copy() for n, x in values.items() if n in trained - shared},
            shared={n: x.copy() for n, x in values.items() if n in shared},
        )


def _scores(scores: Mapping[str, Numbers], index: int) -> dict[str, float]:
    """Return the scores that a client has."""
    own = {name: float(values[index]) for name, values in scores.items()}
    return {name: value for name, value in own.items() if not np.isnan(value)}


def _row(federation: Federation, own: np.ndarray) -> Tensor:
    """Return the numbers [1, P + S] that a client is scored with, in host memory. Collective."""
    [index], world, width = own.tolist(), federation.world, federation.layout.num_trained
    is_here = federation.host_of[federation.shard_of[index]] == world.rank
    bits = torch.zeros(1, width, dtype=torch.int64)
    if is_here:
        theta, _ = federation.start(own, training=False)
        bits = theta.cpu().contiguous().view(torch.int32).long()
    return world.exact_sum(bits).int().view(torch.float32)
