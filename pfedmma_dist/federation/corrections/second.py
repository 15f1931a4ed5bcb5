"""Second row: numbers that a client keeps for itself, trained beside those it shares."""

from collections.abc import Callable

import torch
from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Closed, Correction, Gradient, Start
from pfedmma_dist.federation.walk import Push, Walk
from pfedmma_dist.params import Layout


class SecondRow(Correction):
    """Ditto (Li et al., ICML 2021) and APFL (Deng et al., 2020).

    Beside the row w [P + S] that trains as ever, of which the shared part is averaged, a client has
    a row v of its own. With g the gradient of the client's loss at a v + (1 - a) w, each step of w
    goes with one of v on the same images, by the same optimiser and at the same rate, along

        a g + pull (v - downloaded)                    the second term on the shared part alone

    and the client is scored with a v + (1 - a) w, w as downloaded. Ditto is a = 1, and its pull
    lambda; APFL has no pull, and a falls by rate <v - w, g>, within 0 to 1, unless it is fixed. v
    begins as w of the client's first round does, and whoever had none is scored as downloaded. What
    a method keeps private has two values, too: nothing pulls v's.
    """

    is_personal = True

    def __init__(self, layout: Layout, *, mix: float, learns: bool, pull: float) -> None:
        """mix: a, at a client's start. learns: whether it moves."""
        self.num_memory = layout.num_trained + 2
        self.num_trained = layout.num_trained + learns
        self.mix, self.learns = mix, learns
        self.weight = pull * layout.spread("shared")  # [P + S], 0 on P

    def second(self, start: Start, walk: Callable[[Tensor], Walk]) -> "Beside":
        """Return the rows where the last round has left them."""
        row, mix, began = self._read(start.memory)
        row = torch.where(began, row, start.theta)
        mix = torch.where(began, mix, self.mix)
        return Beside(self, start, walk(row), mix)

    def scored(self, theta: Tensor, memory: Tensor) -> Tensor:
        """Return the mixture, where a client has a second row."""
        row, mix, began = self._read(memory)
        return torch.where(began, theta.lerp(row, mix), theta)

    def _read(self, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rows [G, P + S], their weights [G, 1] and whether they are there [G, 1]."""
        row, mix, began = memory.split([self.num_memory - 2, 1, 1], dim=1)
        return row, mix, began > 0


class Beside:
    """The second rows of a cohort on their way through the steps of a round."""

    def __init__(self, rule: SecondRow, start: Start, walk: Walk, mix: Tensor) -> None:
        self.rule, self.start, self.walk, self.mix = rule, start, walk, mix
        self.weight = rule.weight

    def step(self, first: Tensor, gradient: Gradient, moves: Tensor, rates: Tensor) -> None:
        """Take the step that goes with one of the first rows [G, P + S], which are before theirs.

        moves: [G, P + S] bool. rates: [G, 1].
        """
        row, mix = self.walk.theta, self.mix
        loss, grad = gradient(first.lerp(row, mix))  # 0 where a client is done
        if self.rule.learns:
            slope = ((row - first) * grad).sum(dim=1, keepdim=True)
            self.mix = (mix - rates * slope).clamp(0, 1)
        update = self.walk.update(mix * grad) + self.weight * (row - self.start.theta)
        self.walk.step(Push(loss, update, moves), rates)

    def close(self) -> Closed:
        """Keep the rows, and that there are some."""
        row = self.walk.theta
        began = torch.ones_like(self.mix)
        return Closed(torch.cat([row, self.mix, began], dim=1), row[:, :0])
