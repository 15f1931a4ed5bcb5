"""Running: the corrections of a federation in one round of a cohort."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.federation.corrections.correction import Closed, Correction, Gradient, Start
from pfedmma_dist.federation.walk import Push, Walk


class Running:
    """What each of them began the round with, and where its second rows are."""

    def __init__(
        self,
        corrections: Sequence[Correction],
        starts: Sequence[Start],  # one for each
        prepared: Any,
        text: ClassText,
        walk: Callable[[Tensor], Walk],  # sets second rows on their way
    ) -> None:
        self.pairs = list(zip(corrections, starts, strict=True))
        terms = [each.term(start, prepared, text) for each, start in self.pairs]
        self.terms = [term for term in terms if term is not None]
        self.seconds = [each.second(start, walk) for each, start in self.pairs]

    @property
    def walks(self) -> list[Walk]:
        """Return where the second rows are."""
        return [second.walk for second in self.seconds if second is not None]

    def corrected(self, push: Push, theta: Tensor, index: int) -> Push:
        """Return a step of the first rows with what every correction makes of it."""
        for each, start in self.pairs:
            push = push.corrected(theta, each, start, index)
        return push

    def step(self, theta: Tensor, gradient: Gradient, moves: Tensor, rates: Tensor) -> None:
        """Let second rows take the step that goes with one of the first, theta before theirs."""
        for second in self.seconds:
            if second is not None:
                second.step(theta, gradient, moves, rates)

    def close(self, theta: Tensor, travelled: Tensor) -> list[Closed]:
        """Return what is kept and sent."""
        return [
            each.close(theta, start, travelled) if second is None else second.close()
            for (each, start), second in zip(self.pairs, self.seconds, strict=True)
        ]
