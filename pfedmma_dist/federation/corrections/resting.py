"""Resting: one part of a row keeps its bits in training."""

from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.params import Layout


class SharedRests(Correction):
    """The private part trains alone."""

    def __init__(self, layout: Layout) -> None:
        self.moves = ~layout.spread("shared").bool()  # [P + S]

    def moving(self, step: int, start: Start) -> Tensor:
        """Return the part that trains."""
        return self.moves.to(start.theta.device).expand_as(start.theta)


class FedBABU(SharedRests):
    """FedBABU (Oh et al., ICLR 2022): the shared part trains alone. The private part, the head,
    stays at the start that all clients have in common until it is finetuned before scoring."""

    def __init__(self, layout: Layout) -> None:
        self.moves = layout.spread("shared").bool()
