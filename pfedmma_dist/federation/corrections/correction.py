"""Correction of local training: what a federation changes in it, whatever the method.

One acts on rows theta [G, P + S] of a cohort: it adds a term to each client's loss, whose gradient
it gives itself, lets parts of a row rest, and may keep numbers of its own, M of each client and
some of the server's. Like weight decay, its gradient acts on the parameters themselves and is not
scaled by `grad_scale`. It joins no two clients.
"""

from dataclasses import dataclass

from torch import Tensor

from pfedmma_dist.exchange.average import demand


@dataclass(frozen=True)
class Start:
    """What a cohort's round begins with."""

    theta: Tensor  # [G, P + S], the shared part as it was downloaded
    memory: Tensor  # [G, M] of one correction
    steps_per_epoch: Tensor  # [G] int64


@dataclass(frozen=True)
class Closed:
    """What is left of a cohort's round."""

    memory: Tensor  # [G, M]
    sent: Tensor  # [G, Q] to be summed over the round's clients, by their weight among all


class Correction:
    """The defaults of a correction: it changes nothing, keeps nothing and sends nothing."""

    num_memory = 0
    """Numbers M that each client keeps."""
    num_sent = 0
    """Numbers Q that a client sends and receives beside the shared part."""
    phased = False
    """Whether numbers rest in some steps of a round and move in others."""
    even = False
    """Whether the mean of a round counts every client once, whatever its images."""

    def pull(self, theta: Tensor, start: Start) -> Tensor | None:
        """Return the gradient [G, P + S] of the term."""
        return None

    def loss(self, theta: Tensor, start: Start) -> Tensor | None:
        """Return the term [G]."""
        return None

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
