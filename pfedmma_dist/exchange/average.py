"""Average: the weighted mean of what clients send, exact to the bit in any order."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost, Download
from pfedmma_dist.exchange.secure import Masking
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import World, from_fixed, to_fixed


class Average:
    """Weighted mean of the participants' shared rows (FedAvg, McMahan et al. 2017), or what the
    server makes of it."""

    uniform = True
    staged = True
    closing: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    """(mean [S] float64, riders, shared part before [S]) -> the mean that the server's rule takes;
    see `Uplink.close`."""
    goes_on = True
    """Whether what clients send goes on from what they were handed; see `Method.goes_on`."""
    always = False
    """Whether a round of nobody is closed as others are; see `Stage.always`."""
    masking: Masking | None = None
    """Masks under which rows leave a client; None: they are summed as they are."""

    dropped: tuple[int, ...] = ()

    def __init__(self, template: Tensor, server: Server | None = None) -> None:
        """template: shared part [S] float32 that every client starts from. server: None hands out
        the mean."""
        self.shared = template.clone()
        self.server = server or Server("average", 1.0, None, 0.0, 0.0, template.numel())
        self.total = torch.zeros(template.numel(), dtype=torch.int64)

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return the current mean for each of the clients."""
        return Download(self.shared.expand(len(clients), -1))

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        """Add weighted rows in fixed point, exactly, so in any order."""
        rows = to_fixed(shared.detach().to("cpu", torch.float64) * weight[:, None])
        sent = rows if self.masking is None else self.masking.mask(clients, rows)
        self.total += sent.sum(dim=0)

    def sync(self, world: World, riders: Tensor, participants: np.ndarray) -> Tensor:
        """All-reduce the [S] sums, and the riders behind them, in one buffer.

        Without participants the shared part and the server stay as they are, unless a stage closes
        a round of nobody, too.
        """
        if not len(participants) and not self.always:
            return world.exact_sum(riders)
        mean, riders = self.add_up(world, riders)
        self.shared = self.server.step(self.shared, self.closed(mean, riders)).float()
        return riders

    def add_up(self, world: World, riders: Tensor) -> tuple[Tensor, Tensor]:
        """Return the round's mean [S] float64 and the sum of the riders, over all ranks."""
        total = world.exact_sum(torch.cat([self.total, riders]))
        self.total.zero_()
        total, riders = total[: len(self.total)], total[len(self.total) :]
        return from_fixed(total if self.masking is None else self.masking.unmask(total)), riders

    def closed(self, mean: Tensor, riders: Tensor) -> Tensor:
        """Return what the server's rule takes for the round's mean [S] float64."""
        return mean if self.closing is None else self.closing(mean, riders, self.shared)

    def state(self) -> dict[str, Tensor]:
        """Return the shared part, and what the server remembers."""
        return {"shared": self.shared, **self.server.state()}

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        own = Average.state(self)
        demand(state, {name: (tensor.dtype, tensor.shape) for name, tensor in own.items()})
        self.shared = state["shared"].clone()
        self.server.load(state)

    def cost(self) -> Cost:
        """Every shared number goes up once and comes down once."""
        return Cost(up=self.shared.numel(), down=self.shared.numel())

    def cost_among(self, clients: np.ndarray) -> Cost:
        """Return the mean traffic of clients [n], which send and receive as much as any."""
        return self.cost()


def demand(
    state: dict[str, Tensor], wanted: Mapping[str, tuple[torch.dtype, Sequence[int]]]
) -> None:
    """Raise ValueError unless a server's state has these tensors, finite and no others."""
    found = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in state.items()}
    if found != {name: (dtype, tuple(shape)) for name, (dtype, shape) in wanted.items()}:
        raise ValueError(f"the server's state is {found}, not {wanted}")
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"the server's {name} is not finite")
