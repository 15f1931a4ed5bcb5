"""Gathered: a round's uploads in the open at the server, beside their sum."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.robust import Opening, mean_of
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import World, to_fixed


@dataclass(frozen=True)
class Opened:
    """What the clients of a round have sent, in the order of their numbers."""

    clients: list[int]
    rows: Tensor  # [n, S] float32, to the bit
    weight: Tensor  # [n] int64, fixed point; empty where the server's rule does not ask
    beside: Tensor  # [n, k] int64, further numbers of a client's own


class Gathered(Average):
    """FedAvg's exchange at a server that sees each upload, as medians and pools need it.

    A subclass says what it makes of the uploads in `combine`, and what else travels with them in
    `beside`. While a round of n clients is closed, every rank holds all of it: n S numbers of 4
    bytes in the buffer of the collective, which is as large, and as many again behind it (S =
    3,072, n = 100: 1.2 MiB each; S = 525,312: 200 MiB each).
    """

    meddling: Callable[[Opened, Tensor], Opened] | None = None
    """(a round's uploads, what clients started from [S]) -> what arrived in their place."""

    def __init__(self, template: Tensor, server: Server | None = None, num_beside: int = 0) -> None:
        """template, server: see `Average`. num_beside: k."""
        super().__init__(template, server)
        self.num_beside = num_beside
        self.uploads: dict[int, tuple[Tensor, Tensor]] = {}  # of the open round: row and weight

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Add to the mean, and keep the rows until the round is closed."""
        super().upload(clients, shared, weight)
        rows = shared.detach().to("cpu", torch.float32, copy=True)
        sent = zip(rows, to_fixed(weight), strict=True)
        self.uploads.update(zip(clients.tolist(), sent, strict=True))

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """All-reduce sums, uploads, what travels beside them and riders in one buffer.

        Uploads travel as the bits of their float32, two in an int64: other ranks add zeros to them.
        """
        if not len(participants):
            return super().sync(world, riders, participants)
        clients, num_shared = participants.tolist(), self.shared.numel()
        asks = int(self.server.sees_uploads)
        rows = torch.zeros(len(clients), num_shared + num_shared % 2)
        numbers = torch.zeros(len(clients), self.num_beside + asks, dtype=torch.int64)
        for index, client in enumerate(clients):
            if client in self.uploads:
                rows[index, :num_shared], weight = self.uploads[client]
                numbers[index] = torch.cat([self.beside(client), weight.expand(asks)])
        bits = rows.view(torch.int64)
        mean, total = self.add_up(world, torch.cat([bits.flatten(), numbers.flatten(), riders]))
        found, others, riders = total.split([bits.numel(), numbers.numel(), len(riders)])
        others = others.view(numbers.shape)
        opened = Opened(
            clients,
            found.view(bits.shape).view(torch.float32)[:, :num_shared],
            others[:, self.num_beside :].flatten(),
            others[:, : self.num_beside],
        )
        self.uploads = {}
        if self.meddling is not None:
            opened = self.meddling(opened, self.shared)
            mean = mean_of(opened.rows, opened.weight)
        mean = self.closed(mean, riders)
        self.shared = self.server.step(self.shared, self.combine(mean, opened)).float()
        return riders

    def beside(self, client: int) -> Tensor:
        """Return what travels with the upload of a client hosted here [k] int64."""
        return torch.zeros(self.num_beside, dtype=torch.int64)

    def combine(self, mean: Tensor, opened: Opened) -> Tensor:
        """Return where the server goes from here [S] float64: to the mean [S], unless its rule
        takes something else from the uploads."""
        found = self.server.centre(mean, Opening(opened.rows, opened.weight, self.shared))
        if found.dropped is not None:
            dropped = found.dropped.nonzero().flatten().tolist()
            self.dropped = tuple(opened.clients[place] for place in dropped)
        return found.point
