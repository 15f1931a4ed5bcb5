"""Searched: what methods whose options are chosen on validation images, after training, declare."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.method import Method

Grid = Mapping[str, Sequence[float]]
"""Option -> its values to try, ascending; the points are in the order of nested loops."""


class Searched(Method):
    """A method of which some options reach scores without being trained with."""

    grid: ClassVar[Grid] = {}
    options: Any
    """Its options; what is chosen takes their place."""

    def over(
        self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP, grid: Grid
    ) -> Iterator[Tensor]:
        """Yield at each point of the grid the logits [G, B, C] that `logits` returns there, bit for
        bit."""
        raise TypeError(f"{type(self).__name__} does not say how it is searched")
