"""Resting: one part of a row keeps its bits in training."""

from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.params import Layout


class PartMoves(Correction):
    """One part of a row trains alone."""

    def __init__(self, moves: Tensor) -> None:
        """moves: [P + S] bool, the part that trains."""
        self.moves = moves

    def moving(self, step: int, start: Start) -> Tensor:
        """Return the part that trains."""
        return self.moves.expand_as(start.theta)


class SharedRests(PartMoves):
    """The private part trains alone, and the shared one keeps its bits, whatever the mean of equal
    rows is rounded to."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(~layout.spread("shared").bool())

    def settle(self, before: Tensor, mean: Tensor, sent: Tensor, share: float) -> Tensor:
        """Return what clients have started from."""
        return before


class FedBABU(PartMoves):
    """FedBABU (Oh et al., ICLR 2022): the shared part trains alone. The private part, the head,
    stays at the start that all clients have in common until it is finetuned before scoring."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.spread("shared").bool())
