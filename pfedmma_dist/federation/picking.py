"""Picking: after its training a method may choose which numbers of a client are sent."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.config.choices import SharedPart
from pfedmma_dist.federation.trainer import LocalResult
from pfedmma_dist.methods.method import Method
from pfedmma_dist.rng import Key

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def rearranged(
    federation: "Federation",
    clients: np.ndarray,  # [G]
    start: Tensor,  # [G, P + S] their rows before they trained
    result: LocalResult,
    round_index: int,
) -> LocalResult:
    """Return what training left, with every number where the method puts it, and what the
    optimiser keeps of it beside.

    Where the shared part is held at its start, nothing comes of what is sent.
    """
    method, layout, cfg = federation.method, federation.layout, federation.cfg
    if type(method).pick is Method.pick or cfg.control.shared is SharedPart.at_start:
        return result
    places = torch.arange(layout.num_trained, device=start.device).repeat(len(start), 1)
    keys = [Key(cfg.seed, round_index, client, 0) for client in clients.tolist()]
    before, after, permuted = map(layout.views, (start, result.theta, places))
    method.pick(before, after, permuted, keys)
    num_kept, memory = federation.trainer.memories[0], result.memory.clone()
    for begin in range(0, num_kept, layout.num_trained):  # the optimiser's tables
        table = memory[:, begin : begin + layout.num_trained]
        table.copy_(table.gather(1, places))
    return replace(result, theta=result.theta.gather(1, places), memory=memory)
