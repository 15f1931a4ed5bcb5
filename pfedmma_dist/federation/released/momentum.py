"""Momentum handed on: one optimiser for all clients and rounds, whose state passes from each client
to the one that is visited next (released.momentum)."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.learning import OptimConfig

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def optimiser_of(cfg: Config) -> OptimConfig:
    """Return how clients train: the state that is handed on is kept as a client's own would be."""
    return replace(cfg.optim, keep_state=True) if cfg.released.momentum else cfg.optim


def handed(federation: "Federation", clients: np.ndarray, round_index: int) -> Tensor:
    """Return what clients [G] keep of their training [G, M], the optimiser's part of it from
    whoever was visited before them."""
    own = federation.memory(clients)
    if not federation.cfg.released.momentum:
        return own
    (client,) = clients.tolist()
    size, before = federation.trainer.memories[0], _before(federation, client, round_index)
    state = own.new_zeros(1, size) if before is None else federation.memory(before)[:, :size]
    return torch.cat([state, own[:, size:]], dim=1)


def _before(federation: "Federation", client: int, round_index: int) -> np.ndarray | None:
    """Return the client [1] that was visited before this one, in this round or an earlier one."""
    order = federation.visited(round_index)
    place = order.tolist().index(client)
    if place:
        return order[place - 1 : place]
    earlier = (federation.visited(index) for index in range(round_index - 1, -1, -1))
    return next((order[-1:] for order in earlier if len(order)), None)
