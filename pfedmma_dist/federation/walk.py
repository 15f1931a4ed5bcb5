"""Walk: rows theta [G, N] on their way through the steps of a round, under one optimiser."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.federation.optimiser import Rule


@dataclass(frozen=True)
class Push:
    """What one step does to the rows of a cohort."""

    loss: Tensor  # [G]
    update: Tensor  # [G, N] direction, against which they move
    moves: Tensor  # [G, N] or [G, 1] bool

    def corrected(self, theta: Tensor, each: Correction, start: Start, index: int) -> "Push":
        """Add what a correction adds to the loss and its gradient, and rest what it lets rest.

        index: of the step in the round.
        """
        pull, term = each.pull(theta, start), each.loss(theta, start)
        moving = each.moving(index, start)
        return Push(
            self.loss if term is None else self.loss + term,
            self.update if pull is None else self.update + pull,
            self.moves if moving is None else self.moves & moving,
        )


class Walk:
    """Where the rows are, and the optimiser's state of each.

    What rests in a step keeps its bits, decay included.
    """

    def __init__(
        self,
        rule: Rule,
        theta: Tensor,  # [G, N]
        state: Tensor | None = None,  # [G, tables N]; None: fresh
        lr_scale: Tensor | float = 1.0,  # [N]
        grad_scale: Tensor | float = 1.0,  # [N]
        *,
        wakes: bool = True,  # what rests moves again: its state has to rest, too
    ) -> None:
        self.rule, self.theta, self.wakes = rule, theta, wakes
        fresh = theta.new_zeros(len(theta), rule.tables * theta.shape[1])
        self.state = fresh if state is None else state
        self.lr_scale, self.grad_scale = lr_scale, grad_scale

    def update(self, grad: Tensor) -> Tensor:
        """Return the direction of a step: the gradient [G, N], scaled, and the decay in it."""
        return grad * self.grad_scale + self.rule.l2 * self.theta

    def step(self, push: Push, rates: Tensor) -> None:
        """Take a step at rates [G, 1], where a number moves."""
        after, state = self.rule.step(self.theta, push.update, self.state, rates * self.lr_scale)
        self.theta = torch.where(push.moves, after, self.theta)
        if self.wakes:
            state = torch.where(push.moves.repeat(1, self.rule.tables), state, self.state)
        self.state = state
