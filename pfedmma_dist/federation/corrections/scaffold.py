"""SCAFFOLD: clients learn how their gradient differs from everybody's."""

import torch
from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Closed, Correction, Start
from pfedmma_dist.params import Layout


class Scaffold(Correction):
    """SCAFFOLD (Karimireddy et al., ICML 2020, option II): g + c - c_i on the shared part.

    c_i is a client's mean gradient of its last round, c the server's: the sum of the c_i, each by
    its share of all images, so that it is the gradient of what FedAvg minimises (the paper weighs
    all alike). The mean gradient is how far a client came by how far a constant gradient would
    have come: under momentum that is more than rate times steps, by 1.45 at 2 steps and towards 10
    for many at 0.9.
    """

    def __init__(self, layout: Layout) -> None:
        self.num_memory = self.num_sent = layout.num_shared
        self.num_private = layout.num_private
        self.control = torch.zeros(layout.num_shared, dtype=torch.float64)

    def handed(self, theta: Tensor) -> Tensor:
        """Return the server's mean gradient [S]."""
        return self.control.to(theta.device, theta.dtype)

    def pull(self, theta: Tensor, start: Start) -> Tensor:
        """Add what the server's mean gradient is beyond the client's."""
        assert start.handed is not None
        gap = start.handed - start.memory
        return torch.cat([gap.new_zeros(len(gap), self.num_private), gap], dim=1)

    def close(self, theta: Tensor, start: Start, travelled: Tensor) -> Closed:
        """Keep the mean gradient of this round, and send by what it has changed."""
        assert start.handed is not None
        came = (start.theta - theta)[:, self.num_private :]
        own = start.memory - start.handed + came / travelled
        return Closed(own, own - start.memory)

    def settle(self, before: Tensor, mean: Tensor, sent: Tensor, share: float) -> Tensor:
        """Add up the changes."""
        self.control = self.control + sent
        return mean

    def state(self) -> dict[str, Tensor]:
        """Return the server's mean gradient."""
        return {"scaffold": self.control}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take it back."""
        super().load(state)
        self.control = state["scaffold"].clone()
