"""Attack: what a client that means harm sends in place of what it has trained.

It knows its own row alone, and what it started from. Attackers that know the others' are in
`collusion.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange.uplink import Parcel, Stage
from pfedmma_dist.rng import generator
from pfedmma_dist.world import LIMIT


@dataclass(frozen=True)
class Move:
    """How an attack changes a client's move [S] float64."""

    make: Callable[[Tensor, float, np.random.Generator], Tensor]  # (move, scale, draws) -> move
    scale: float  # where no other is asked for
    idle: float | None = None  # at which scale nothing is changed


def noise(move: Tensor, scale: float, draws: np.random.Generator) -> Tensor:
    """Return Gaussian noise of `scale` times the length of a move, in expectation."""
    drawn = torch.from_numpy(draws.standard_normal(len(move)))
    return scale * move.square().mean().sqrt() * drawn


MOVES: dict[str, Move] = {
    "sign_flip": Move(lambda move, scale, draws: -scale * move, 1.0),
    "scaling": Move(lambda move, scale, draws: scale * move, 10.0, 1.0),
    "noise": Move(noise, 10.0),
    "backdoor": Move(lambda move, scale, draws: scale * move, 1.0, 1.0),
}
"""By the name of the attack; that of a backdoor is model replacement (Bagdasaryan et al., AISTATS
2020)."""


class Moved(Stage):
    """Attackers send their start plus another move than they have made."""

    def __init__(self, name: str, scale: float | None, attackers: np.ndarray, seed: int) -> None:
        """scale: None is the attack's own. attackers: [A] clients."""
        self.name, self.move, self.attackers, self.seed = name, MOVES[name], attackers, seed
        self.scale = self.move.scale if scale is None else scale

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        """Change the rows of the attackers among these clients, each for itself."""
        rows = parcel.rows.clone()
        for place in np.flatnonzero(np.isin(parcel.clients, self.attackers)):
            start = parcel.start[place].double()
            draws = generator(
                self.seed, f"attack {self.name}", parcel.round_index, parcel.clients[place]
            )
            move = self.move.make(parcel.rows[place].double() - start, self.scale, draws)
            rows[place] = bounded(start + move)
        return replace(parcel, rows=rows), torch.zeros(0, dtype=torch.int64)


def bounded(row: Tensor) -> Tensor:
    """Return a row as float32; ValueError where it cannot be averaged."""
    if not bool((row.abs() < LIMIT).all()):
        raise ValueError(
            f"attack.scale: it makes uploads with numbers that are not below {LIMIT:g}, which no "
            "mean can hold; lower attack.scale"
        )
    return row.float()
