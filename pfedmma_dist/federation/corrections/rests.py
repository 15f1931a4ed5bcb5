"""Rest of the shared part: what is private trains beside it."""

from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.params import Layout


class SharedRests(Correction):
    """Let the shared part keep its bits, whatever the mean of equal rows is rounded to."""

    def __init__(self, layout: Layout) -> None:
        self.is_private = ~layout.spread("shared").bool()  # [P + S]

    def moving(self, step: int, start: Start) -> Tensor:
        """Return the private part."""
        return self.is_private.to(start.theta.device).expand_as(start.theta)

    def settle(self, before: Tensor, mean: Tensor, sent: Tensor, share: float) -> Tensor:
        """Return what clients have started from."""
        return before
