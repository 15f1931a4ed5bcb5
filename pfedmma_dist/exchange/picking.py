"""Picking: which of its prompts a client sends, where it sends those that are most like the common.

A server then averages the first that each client picked, then the second. What is sent is another
prompt from round to round, so that it does not go on from what was handed out.
"""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.exchange.server import Server


def nearness(own: Tensor, common: Tensor) -> np.ndarray:
    """Return the cosine of each prompt [N, ...] with the nearest of the common ones [s, ...]: [N]
    float64."""
    own, common = (
        F.normalize(x.detach().to("cpu").double().flatten(1), dim=1) for x in (own, common)
    )
    # Product by product: through a matrix product, equal prompts would differ by rounding.
    return (own[:, None] * common).sum(dim=2).amax(dim=1).numpy()


def picked(nearness: np.ndarray, temperature: float, uniform: np.ndarray) -> list[int]:
    """Return one place for each of the draws [s] from [0, 1), without replacement, from the softmax
    of nearness [N] over temperature; the nearest in turn where that is 0."""
    if not temperature:
        return np.argsort(-nearness, kind="stable")[: len(uniform)].tolist()
    left, found = list(range(len(nearness))), []
    for draw in uniform:
        own = nearness[left]
        reached = np.exp((own - own.max()) / temperature).cumsum()
        place = int(np.searchsorted(reached, draw * reached[-1], side="right"))
        found.append(left.pop(min(place, len(left) - 1)))
    return found


def refuse_moves(server: Server | None) -> None:
    """Refuse a rule of the server that goes along the mean move of a round."""
    if server is not None and not server.plain:
        raise ValueError(
            "server.name: a step along the mean move of clients is about what goes on from what "
            "they were handed, and clients of this method send other prompts from round to round; "
            "set server.name=average, or a rule that takes a centre of uploads, and server.lr=1, "
            "and no server.rule"
        )
