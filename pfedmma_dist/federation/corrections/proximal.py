"""FedProx: the shared part is drawn back to where it was downloaded."""

from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.params import Layout


class Proximal(Correction):
    """FedProx (Li et al., MLSys 2020): mu / 2 |shared - downloaded|^2."""

    def __init__(self, layout: Layout, mu: float) -> None:
        self.weight = mu * layout.spread("shared")  # [P + S], 0 on P

    def pull(self, theta: Tensor, start: Start) -> Tensor:
        """Draw the shared part back."""
        return self.weight * (theta - start.theta)

    def loss(self, theta: Tensor, start: Start) -> Tensor:
        """Return half the weighted square of the distance."""
        moved = theta - start.theta
        return 0.5 * (self.weight * moved.square()).sum(dim=1)
