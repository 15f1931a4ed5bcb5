"""Ranks: servers of low-rank factors whose clients have a rank each.

The server keeps r directions of every term, r being the largest rank. A client of rank r_k trains
and sends the first r_k of them: it is handed zeros in place of the others, and they rest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost, Download
from pfedmma_dist.exchange.gathered import Gathered, Opened
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import from_fixed

FactorRule = Callable[[Tensor, Tensor], Tensor]
"""(rows [n, S] float64 of a round's clients, zeros beyond their rank; their weights [n] float64,
which add up to 1) -> what the server keeps [S] float64"""


@dataclass(frozen=True)
class DealtRanks:
    """Which rank a client has, and what of a row that is."""

    dealt: tuple[int, ...]
    """Client k has rank dealt[k mod n]."""
    direction: Tensor  # [S] int64, of its term, to which a number belongs

    @property
    def differ(self) -> bool:
        """Whether not all clients have the same."""
        return len(set(self.dealt)) > 1

    def of(self, clients: np.ndarray) -> Tensor:
        """Return the ranks [G] int64 of clients."""
        return torch.tensor(self.dealt)[torch.from_numpy(clients) % len(self.dealt)]

    def cut(self, row: Tensor, clients: np.ndarray) -> Tensor:
        """Return of a row [S] what each of the clients holds [G, S], zeros beyond its rank."""
        return torch.where(self.direction < self.of(clients)[:, None], row, 0.0)

    def mean_size(self, clients: np.ndarray | None = None) -> int:
        """Return how many numbers of a row a client holds, in the mean over these clients, or over
        the ranks that are dealt; to the nearest whole number."""
        ranks = torch.tensor(self.dealt) if clients is None else self.of(clients)
        below = torch.bincount(self.direction, minlength=max(self.dealt)).cumsum(dim=0)
        return round(float(below[ranks - 1].double().mean()))


@dataclass(frozen=True)
class Handed:
    """What clients are handed beside factors."""

    dense: Tensor | None = None  # [D] what is added to the frozen matrices
    ranks: Tensor | None = None  # [G] int64; None: all have the largest


class Ranked(Gathered):
    """Factors that are averaged by a rule of their own, and cut to each client's rank."""

    staged = False

    def __init__(
        self,
        template: Tensor,
        ranks: DealtRanks,
        rule: FactorRule | None = None,
        server: Server | None = None,
    ) -> None:
        """template: shared part [S] float32. rule: None is the mean of the padded rows."""
        refuse_server(server)
        super().__init__(template, num_beside=1)
        self.ranks, self.rule = ranks, rule
        self.uniform = not ranks.differ

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return each client's own directions, and how many they are."""
        if not self.ranks.differ:
            return super().download(clients, training=training)
        return Download(self.ranks.cut(self.shared, clients), Handed(ranks=self.ranks.of(clients)))

    def beside(self, client: int) -> Tensor:
        """Return the weight of a client hosted here [1] int64."""
        return self.uploads[client][1].reshape(1)

    def combine(self, mean: Tensor, opened: Opened) -> Tensor:
        """Return what the rule makes of the uploads."""
        if self.rule is None:
            return mean
        return self.rule(opened.rows.double(), from_fixed(opened.beside[:, 0]))

    def cost(self) -> Cost:
        """A client sends and receives what belongs to its rank: the mean over those dealt."""
        size = self.ranks.mean_size()
        return Cost(up=size, down=size)

    def cost_among(self, clients: np.ndarray) -> Cost:
        """Return the same, as the mean over clients [n]."""
        size = self.ranks.mean_size(clients)
        return Cost(up=size, down=size)


def refuse_server(server: Server | None) -> None:
    """Refuse a rule of the server that would move what it should leave."""
    if server is not None and (server.sees_uploads or not server.plain):
        raise ValueError(
            "server.name: low-rank factors that take turns, have a rank per client, or whose "
            "products are averaged, go with the plain mean alone; set server.name=average and "
            "server.lr=1, and no server.rule"
        )
