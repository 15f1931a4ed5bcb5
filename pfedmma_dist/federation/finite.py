"""Finite: numbers that training leaves must be such that they can be averaged, or kept."""

import numpy as np

from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.trainer import LocalResult
from pfedmma_dist.world import LIMIT


def check_finite(result: LocalResult, clients: np.ndarray, when: str, optim: OptimConfig) -> None:
    """Raise for the first client whose training left the numbers that can be averaged, or kept.

    when: such as "in round 3".
    """
    sound = (result.loss.abs() < LIMIT) & (result.theta.abs() < LIMIT).all(dim=1)  # nan is not
    sound &= (result.sent.abs() < LIMIT).all(dim=1) & result.memory.isfinite().all(dim=1)
    for client, ok, loss in zip(clients, sound.tolist(), result.loss.tolist(), strict=True):
        if not ok:
            raise ValueError(
                f"optim.lr: {optim.lr} drove the training of client {client} {when} to numbers "
                f"that are not finite or not below {LIMIT:g} (mean loss {loss:g}); lower optim.lr"
            )
