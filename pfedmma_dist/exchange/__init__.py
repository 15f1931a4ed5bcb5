"""What crosses the network at a round boundary, and what it costs a client."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pfedmma_dist.world import World

BYTES = 4
"""Of one number on the network: float32."""


@dataclass(frozen=True)
class Cost:
    """Numbers that a real client sends and receives in a round it takes part in."""

    up: int
    down: int
    start: int = 0
    """Numbers received to start from, where the method's paper counts them apart from `down`."""
    once: bool = False
    """Whether a client sends `up` in the first of these rounds alone."""
    up_bytes: int | None = None
    """What `up` takes on the network; None: BYTES for each number."""
    down_bytes: int | None = None
    """What `down` takes, likewise."""

    @property
    def bytes_up(self) -> int:
        """Return the bytes that a client sends in a round."""
        return BYTES * self.up if self.up_bytes is None else self.up_bytes

    @property
    def bytes_down(self) -> int:
        """Return the bytes that a client receives in a round, those of `start` left out."""
        return BYTES * self.down if self.down_bytes is None else self.down_bytes

    def beside(self, numbers: int) -> "Cost":
        """Return the cost where so many numbers go up, and come down, beside these."""
        return replace(
            self,
            up=self.up + numbers,
            down=self.down + numbers,
            up_bytes=None if self.up_bytes is None else self.up_bytes + BYTES * numbers,
            down_bytes=None if self.down_bytes is None else self.down_bytes + BYTES * numbers,
        )


@dataclass(frozen=True)
class Download:
    """What clients receive before they train or are scored."""

    shared: Tensor  # [G, S] float32
    extra: Any = None  # further numbers, for `Method.prepare`


class Exchange(Protocol):
    """The server as clients see it. `sync` is the only collective of a round."""

    uniform: bool
    """Whether every client is handed the same numbers for scoring."""
    staged: bool
    """Whether the mean of rows [S] is all that crosses the network, as stages of an uplink need."""
    dropped: tuple[int, ...]
    """Clients whose uploads the server left out of the round that was closed last."""
    shared: Tensor
    """What a client starts from that has no other [S] float32."""

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return what the clients [G] start from; an exchange may hand out less for scoring."""
        ...

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Take shared rows [G, S], or what clients have counted in their place, with weights [G]
        float64 that add up to 1 over the round."""
        ...

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """Close the round over all ranks; return the sum of int64 `riders`, which travel along.

        participants: sorted clients whose uploads have arrived in the round, over all ranks.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """Return the server's tensors for a checkpoint."""
        ...

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned; ValueError where it cannot have.

        trained: sorted clients that had trained by then.
        """
        ...

    def cost(self) -> Cost:
        """Return the traffic of one client and round."""
        ...

    def cost_among(self, clients: np.ndarray) -> Cost:
        """Return the same as the mean over clients [n], where they differ."""
        ...
