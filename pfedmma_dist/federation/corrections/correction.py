"""Correction of local training: what a federation changes in it, whatever the method.

One acts on rows theta [G, P + S] of a cohort: it adds a term to each client's loss, lets parts of a
row rest, trains a second row beside it, and may keep numbers of its own, M of each client and some
of the server's. The gradient that a correction gives itself acts, like weight decay, on the
parameters themselves and is not scaled by `grad_scale`. It joins no two clients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange.average import demand
from pfedmma_dist.methods.step import Step

if TYPE_CHECKING:
    from pfedmma_dist.federation.walk import Walk

Term = Callable[[dict[str, Tensor], Any, Step], Tensor]
"""(parameters, classes, step) -> a term [G] of the loss, of which autograd takes the gradient."""
Gradient = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Rows [G, P + S] -> (each client's loss [G] on the images of a step, its gradient [G, P + S])."""


@dataclass(frozen=True)
class Start:
    """What a cohort's round begins with."""

    theta: Tensor  # [G, P + S], the shared part as it was downloaded
    memory: Tensor  # [G, M] of one correction
    steps_per_epoch: Tensor  # [G] int64
    handed: Tensor | None = None  # what the server has handed out, beside the rows


@dataclass(frozen=True)
class Closed:
    """What is left of a cohort's round."""

    memory: Tensor  # [G, M]
    sent: Tensor  # [G, Q] to be summed over the round's clients, by their weight among all


class Second(Protocol):
    """Rows [G, P + S] of a cohort that train beside the first ones in a round."""

    walk: "Walk"
    """Where they are."""

    def step(self, first: Tensor, gradient: Gradient, moves: Tensor, rates: Tensor) -> None:
        """Take the step that goes with one of the first rows, which are before theirs.

        moves: [G, P + S] bool. rates: [G, 1].
        """
        ...

    def close(self) -> Closed:
        """Return what is kept of them."""
        ...


class Correction:
    """The defaults of a correction: it changes nothing, keeps nothing and sends nothing."""

    num_memory = 0
    """Numbers M that each client keeps."""
    num_sent = 0
    """Numbers Q that a client sends and receives beside the shared part."""
    num_trained = 0
    """Numbers that a client trains beside its row."""
    is_personal = False
    """Whether a client has a second row, with which it is scored."""
    phased = False
    """Whether numbers rest in some steps of a round and move in others."""
    even = False
    """Whether the mean of a round counts every client once, whatever its images."""

    def handed(self, theta: Tensor) -> Tensor | None:
        """Return what the server hands out at a round's start, beside rows theta and of their
        type."""
        return None

    def pull(self, theta: Tensor, start: Start) -> Tensor | None:
        """Return the gradient [G, P + S] of the term."""
        return None

    def loss(self, theta: Tensor, start: Start) -> Tensor | None:
        """Return the term [G]."""
        return None

    def term(self, start: Start, prepared: Any, text: ClassText) -> Term | None:
        """Return a term whose gradient autograd takes, for the steps of a round."""
        return None

    def second(self, start: Start, walk: "Callable[[Tensor], Walk]") -> Second | None:
        """Return rows that train beside the first ones; walk: what sets rows on their way."""
        return None

    def scored(self, theta: Tensor, memory: Tensor) -> Tensor:
        """Return the rows [G, P + S] that clients are scored with; theta: as downloaded."""
        return theta

    def moving(self, step: int, start: Start) -> Tensor | None:
        """Return which numbers [G, P + S] may move in a step; None: all."""
        return None

    def close(self, theta: Tensor, start: Start, travelled: Tensor) -> Closed:
        """Return what a client keeps and sends.

        travelled: [G, S] how far a constant gradient of 1 would have moved the shared numbers.
        """
        return Closed(start.memory, theta.new_zeros(len(theta), 0))

    def settle(self, before: Tensor, mean: Tensor, sent: Tensor, share: float) -> Tensor:
        """Return what clients start from next [S] float64.

        before: what they started from [S] float64. mean: what the server has made of the round [S]
        float64. sent: [Q] float64, summed. share: of all clients that trained.
        """
        return mean

    def state(self) -> dict[str, Tensor]:
        """Return the server's numbers."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned; ValueError where it cannot have."""
        demand(state, {name: (x.dtype, x.shape) for name, x in self.state().items()})
