"""Factors: servers of low-rank factors, which know that a mean of products is no product of means.

With A and B averaged each by itself, clients that train both start from mean(B) mean(A) in place
of mean(B A). Either one of them at a time crosses the network (`Turns`), or their products do
(`Products`). Both count rounds, which belongs to their state, and hand out the mean of a round as
it is: a server that remembers more would move what it should leave.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost, Download
from pfedmma_dist.exchange.average import Average, demand
from pfedmma_dist.exchange.ranks import DealtRanks, Handed, refuse_server
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import LIMIT, World, to_fixed


class _Counting(Average):
    """An average that counts rounds."""

    staged = False

    def __init__(self, template: Tensor, server: Server | None) -> None:
        refuse_server(server)
        super().__init__(template)
        self.rounds = 0

    def own(self) -> dict[str, Tensor]:
        """Return the state beside the shared part."""
        return {"rounds": torch.tensor(self.rounds)}

    def state(self) -> dict[str, Tensor]:
        """Return the shared part, and how many rounds it is of."""
        return {**super().state(), **self.own()}

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        demand(state, {name: (x.dtype, x.shape) for name, x in self.state().items()})
        super().load({name: x for name, x in state.items() if name not in self.own()}, trained)
        self.rounds = int(state["rounds"])


class Turns(_Counting):
    """Parts of the shared row take turns: a round sends one of them, and the others keep their
    bits. A client comes by any of them at any time, so it receives all."""

    def __init__(
        self, template: Tensor, parts: Sequence[Tensor], server: Server | None = None
    ) -> None:
        """template: shared part [S] float32. parts: [S] bool, in the order of their rounds."""
        super().__init__(template, server)
        self.parts = [part.nonzero().flatten() for part in parts]
        self._open()

    def _open(self) -> None:
        self.part = self.parts[self.rounds % len(self.parts)]
        self.total = torch.zeros(len(self.part), dtype=torch.int64)

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Add the round's part of the rows alone."""
        super().upload(clients, shared[:, self.part.to(shared.device)], weight)

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """All-reduce the sums of the round's part, and the riders behind them."""
        mean, riders = self.add_up(world, riders)
        self.shared = self.shared.index_copy(0, self.part, mean.float())
        self.rounds += 1
        self._open()
        return riders

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        super().load(state, trained)
        self._open()

    def cost(self) -> Cost:
        """The longest part goes up, and all of them come down."""
        return Cost(up=max(map(len, self.parts)), down=self.shared.numel())


class Products(_Counting):
    """The exact mean of the clients' products, beside that of their factors.

    What the factors handed out do not make of it is added to the frozen matrices W of all clients.
    With weights w_i of the round's clients, and s the scale of a term,

        residual    A = sum w_i A_i, B = sum w_i B_i    W += s (sum w_i B_i A_i - B A)
        restart     A and B start anew                  W += s sum w_i B_i A_i

    What was added so far is `dense` [D], and travels beside the shared part: D numbers, where all
    of a round's factors are fewer only if few clients take part.
    """

    def __init__(
        self,
        template: Tensor,
        products: Callable[[Tensor], Tensor],
        restart: Callable[[int], Tensor] | None = None,
        server: Server | None = None,
        ranks: DealtRanks | None = None,
    ) -> None:
        """template: shared part [S] float32. products: a row [S] float64 -> its scaled products
        [D]. restart: a round -> what clients start from in it [S]; None: from the means. ranks:
        None is the largest for all; zeros beyond a client's rank reach no product."""
        super().__init__(template, server)
        self.ranks = ranks
        self.uniform = ranks is None or not ranks.differ
        self.products, self.restart = products, restart
        self.dense = torch.zeros_like(products(template.double()))
        self.total = torch.zeros(len(template) + len(self.dense), dtype=torch.int64)

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return the factors for each of the clients, and what is added to the frozen matrices."""
        dense = self.dense.float()
        if self.ranks is None:
            return Download(self.shared.expand(len(clients), -1), Handed(dense))
        own = self.ranks.cut(self.shared, clients)
        return Download(own, Handed(dense, self.ranks.of(clients)))

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Add rows and products in fixed point, client by client: cohorts reach no bit."""
        for row, share in zip(shared.detach().to("cpu", torch.float64), weight, strict=True):
            product = self.products(row)
            if not bool((product.abs() < LIMIT).all()):
                raise ValueError(
                    "method.merge: the product of a client's low-rank factors is not finite or not "
                    f"below {LIMIT:g}; lower optim.lr"
                )
            self.total += to_fixed(share * torch.cat([row, product]))

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """All-reduce the sums of rows and products, and the riders behind them."""
        mean, riders = self.add_up(world, riders)
        factors, product = mean.split([len(self.shared), len(self.dense)])
        self.rounds += 1
        if self.restart is None:
            self.shared = factors.float()
            product = product - self.products(self.shared.double())
        else:
            self.shared = self.restart(self.rounds)
        self.dense = self.dense + product
        return riders

    def own(self) -> dict[str, Tensor]:
        """Return the state beside the shared part."""
        return {**super().own(), "dense": self.dense}

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        super().load(state, trained)
        self.dense = state["dense"].clone()

    def cost(self) -> Cost:
        """Factors go up; what was added comes down, and factors where they do not start anew."""
        return self._of_size(self.ranks.mean_size() if self.ranks else self.shared.numel())

    def cost_among(self, clients: np.ndarray) -> Cost:
        """Return the same, as the mean over clients [n]."""
        return self._of_size(self.ranks.mean_size(clients)) if self.ranks else self.cost()

    def _of_size(self, size: int) -> Cost:
        """Return the traffic where a client has so many numbers in its factors."""
        return Cost(up=size, down=(size if self.restart is None else 0) + len(self.dense))
