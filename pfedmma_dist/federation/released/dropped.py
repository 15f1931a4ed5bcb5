"""Dropped: a client that takes part in no round and has no score (released.dropped)."""

import numpy as np

from pfedmma_dist.config.keys import Config


def without_dropped(cfg: Config, clients: np.ndarray) -> np.ndarray:
    """Return these clients but for the dropped one."""
    number = cfg.released.dropped
    return clients if number is None else clients[clients != number]


def check_dropped(cfg: Config, clients: np.ndarray, num_clients: int) -> None:
    """Refuse to drop a client that none of the K is, or the only one of these, who train."""
    number = cfg.released.dropped
    if number is None:
        return
    if number >= num_clients:
        raise ValueError(
            f"released.dropped: there is no client {number} among {num_clients}, which count from "
            f"0; set {num_clients - 1} or less"
        )
    if clients.tolist() == [number]:
        raise ValueError(
            f"released.dropped: client {number} is the only one that trains; leave "
            "released.dropped out"
        )
