"""Dropped: a client that takes part in no round and has no score (released.dropped)."""

import numpy as np

from pfedmma_dist.config.keys import Config


def without_dropped(cfg: Config, clients: np.ndarray, num_clients: int) -> np.ndarray:
    """Return these of the K clients but for the dropped one; ValueError where nobody has its
    number, or nobody is left."""
    number = cfg.released.dropped
    if number is None:
        return clients
    if number >= num_clients:
        raise ValueError(
            f"released.dropped: there is no client {number} among {num_clients}, which count from "
            f"0; set {num_clients - 1} or less"
        )
    left = clients[clients != number]
    if not len(left) and len(clients):
        raise ValueError(
            f"released.dropped: client {number} is the only one that trains; leave "
            "released.dropped out"
        )
    return left
