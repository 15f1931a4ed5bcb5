"""Laid: steps of a cohort with all their numbers beside its rows, copied there once for many steps.

A copy from the host's memory lets the host wait for the GPU, and a small step is over sooner than
the next one is prepared: nothing inside a step may come from the host.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import methodcaller

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.kinds import Kinds, Read, mapped
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.softmax import Columns
from pfedmma_dist.rng import Key

TOGETHER = 1024
"""Steps that are laid at once; the numbers of all steps of a long round would fill the memory."""


@dataclass(frozen=True)
class Pace:
    """How the steps of a cohort's round run."""

    rates: Callable[[int], np.ndarray]  # step of the round -> learning rate of each client [G]
    steps_per_epoch: np.ndarray  # [G]
    round_index: int

    @classmethod
    def steady(cls, lr: float, num_clients: int) -> "Pace":
        """Return one rate for all clients and steps, without epochs, in round 0."""
        return cls(lambda step: np.full(num_clients, lr), np.zeros(num_clients), 0)


@dataclass(frozen=True)
class Laid:
    """One step of a cohort on the device of its rows."""

    images: Read  # [G, B, *record_shape]
    labels: Tensor  # [G, B] int64
    weight: Tensor  # [G, B] float32, 1, or 0 for padding
    active: Tensor  # [G] bool, who has not had all steps
    rates: Tensor  # [G, 1] of the rows' type
    own: Tensor | None  # [G, C] bool, the classes that take part in each client's loss; None: all
    keys: tuple[Key, ...]  # [G]
    num_images: int  # of active clients, padding not counted


@dataclass(frozen=True)
class Sources:
    """Where a step gets its images, labels and classes from."""

    features: Features
    kinds: Kinds
    label_of: Callable[[np.ndarray], np.ndarray]
    columns_of: Columns | None  # None: all classes take part in every loss


def lay(batches: Iterable[Batch], theta: Tensor, pace: Pace, sources: Sources) -> Iterator[Laid]:
    """Yield the steps of the rows theta [G, P + S], the images of each read when it is asked for.

    Bit for bit what copying each step by itself would give.
    """
    left, index = iter(batches), 0
    while some := list(islice(left, TOGETHER)):
        labels = placed([sources.label_of(batch.rows) for batch in some], theta.device)
        weight = placed([batch.weight for batch in some], theta.device)
        active = placed([batch.active for batch in some], theta.device)
        rates = placed([pace.rates(index + i) for i in range(len(some))], theta.device, theta.dtype)
        views = [(batch.rows.reshape(-1), batch.views.reshape(-1)) for batch in some]
        own = None
        if sources.columns_of is not None:
            clients = np.array([key.client for key in some[0].keys])  # the same in all steps
            own = torch.from_numpy(sources.columns_of(clients)).to(theta.device)
        read = sources.features.stream(sources.kinds, views)
        for batch, images, *numbers in zip(some, read, labels, weight, active, rates, strict=True):
            each_label, each_weight, is_active, rate = numbers
            yield Laid(
                mapped(images, methodcaller("unflatten", 0, batch.rows.shape)),
                each_label,
                each_weight,
                is_active,
                rate[:, None],
                own,
                batch.keys,
                int(batch.weight[batch.active].sum()),
            )
        index += len(some)


def placed(
    arrays: Sequence[np.ndarray], device: torch.device, dtype: torch.dtype | None = None
) -> list[Tensor]:
    """Return each array on a device, by one copy of them all."""
    if not arrays:
        return []
    flat = torch.from_numpy(np.concatenate([array.reshape(-1) for array in arrays]))
    parts = flat.to(device, dtype or flat.dtype).split([array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]
