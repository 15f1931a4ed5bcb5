"""Corrections: those of one federation, in the order in which they act."""

from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Correction


class Corrections(tuple[Correction, ...]):
    """What they are, do and keep together."""

    @property
    def num_sent(self) -> int:
        """Numbers that a client sends and receives beside the shared part."""
        return sum(each.num_sent for each in self)

    @property
    def num_trained(self) -> int:
        """Numbers that a client trains beside its row."""
        return sum(each.num_trained for each in self)

    @property
    def is_personal(self) -> bool:
        """Whether clients are scored with a second row."""
        return any(each.is_personal for each in self)

    def settle(self, before: Tensor, mean: Tensor, sent: Tensor, share: float) -> Tensor:
        """Close a round, and return what clients start from next [S] (see `Correction.settle`)."""
        counts = [each.num_sent for each in self]
        for each, own in zip(self, sent.split(counts), strict=True):
            mean = each.settle(before, mean, own, share)
        return mean

    def state(self) -> dict[str, Tensor]:
        """Return the server's numbers."""
        return {name: numbers for each in self for name, numbers in each.state().items()}

    def load(self, server: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take these back, and return what of the server's is not theirs."""
        for each in self:
            each.load({name: server[name] for name in each.state().keys() & server.keys()})
        return {name: x for name, x in server.items() if name not in self.state()}
