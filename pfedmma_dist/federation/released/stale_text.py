"""Stale text: class vectors of scores that are made once, by one client, and never again
(released.stale_text)."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange.average import demand
from pfedmma_dist.params import Layout

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation

NAME = "stale_text"


class StaleText:
    """The row of the client whose class vectors all are scored with: of the first that is visited,
    as its training in round 0 left it, before any mean. Where the switch is off, nothing."""

    def __init__(self, cfg: Config, layout: Layout) -> None:
        self.is_on, self.size = cfg.released.stale_text, layout.num_trained
        self.row: Tensor | None = None  # [P + S]

    def see(
        self, federation: "Federation", round_index: int, clients: np.ndarray, theta: Tensor
    ) -> None:
        """Look at rows [G, P + S] that clients have trained."""
        if round_index or not self.is_on:
            return
        for place in np.flatnonzero(clients == federation.visited(0)[0]):
            self.row = theta[place].detach().cpu()

    def tell(self, federation: "Federation", round_index: int) -> None:
        """Let all ranks know the row that one of them has seen. Collective."""
        if round_index or not self.is_on:
            return
        if not len(federation.visited(0)):
            raise ValueError(
                "released.stale_text: true, and nobody trains in round 0, whose first client makes "
                "the class vectors; set federation.first_round_all=true, or another seed"
            )
        row = torch.zeros(self.size + self.size % 2)
        if self.row is not None:
            row[: self.size] = self.row
        bits = federation.world.exact_sum(row.view(torch.int64))  # the others add zeros
        self.row = bits.view(torch.float32)[: self.size]

    def beside(self, theta: Tensor) -> Tensor:
        """Return the rows [G, P + S] of whose class vectors the scores of rows theta are."""
        return theta if self.row is None else self.row.to(theta).expand_as(theta)

    def state(self) -> dict[str, Tensor]:
        """Return the row for a checkpoint."""
        return {} if self.row is None else {NAME: self.row}

    def load(self, server: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take it back, and return what of the server's state is not of it."""
        if not self.is_on:
            return server
        own = {name: x for name, x in server.items() if name == NAME}
        demand(own, {NAME: (torch.float32, (self.size,))})
        self.row = own[NAME].clone()
        return {name: x for name, x in server.items() if name != NAME}
