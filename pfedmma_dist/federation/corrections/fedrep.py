"""FedRep: the private part first, then the shared one."""

from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.params import Layout


class FedRep(Correction):
    """FedRep (Collins et al., ICML 2021): a client's private part trains for the first epochs of a
    round with the shared part at rest, then the shared part with the private one at rest."""

    phased = True

    def __init__(self, layout: Layout, head_epochs: int) -> None:
        self.head_epochs = head_epochs
        self.is_shared = layout.spread("shared").bool()  # [P + S]

    def moving(self, step: int, start: Start) -> Tensor:
        """Return the part whose turn it is."""
        head = step < self.head_epochs * start.steps_per_epoch
        return head[:, None] ^ self.is_shared
