"""FedDyn: a linear term makes the clients' minima meet."""

import torch
from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Closed, Correction, Start
from pfedmma_dist.params import Layout


class FedDyn(Correction):
    """FedDyn (Acar et al., ICLR 2021): - <h_i, shared> + alpha / 2 |shared - downloaded|^2.

    After a round h_i falls by alpha (shared - downloaded), the server's h by alpha / K times the
    sum of these, and clients start from the plain mean less h / alpha.
    """

    even = True

    def __init__(self, layout: Layout, alpha: float) -> None:
        self.num_memory, self.num_private, self.alpha = layout.num_shared, layout.num_private, alpha
        self.held = torch.zeros(layout.num_shared, dtype=torch.float64)

    def pull(self, theta: Tensor, start: Start) -> Tensor:
        """Return the gradient of both terms."""
        pull = self.alpha * self._moved(theta, start) - start.memory
        return torch.cat([pull.new_zeros(len(pull), self.num_private), pull], dim=1)

    def loss(self, theta: Tensor, start: Start) -> Tensor:
        """Return both terms."""
        shared = theta[:, self.num_private :]
        square = 0.5 * self.alpha * self._moved(theta, start).square().sum(dim=1)
        return square - (start.memory * shared).sum(dim=1)

    def close(self, theta: Tensor, start: Start, travelled: Tensor) -> Closed:
        """Lower h_i."""
        memory = start.memory - self.alpha * self._moved(theta, start)
        return Closed(memory, theta.new_zeros(len(theta), 0))

    def settle(self, before: Tensor, mean: Tensor, sent: Tensor, share: float) -> Tensor:
        """Lower h, and start from the mean less h / alpha."""
        self.held = self.held - self.alpha * share * (mean - before)
        return mean - self.held / self.alpha

    def state(self) -> dict[str, Tensor]:
        """Return the server's h."""
        return {"feddyn": self.held}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take it back."""
        super().load(state)
        self.held = state["feddyn"].clone()

    def _moved(self, theta: Tensor, start: Start) -> Tensor:
        return (theta - start.theta)[:, self.num_private :]
