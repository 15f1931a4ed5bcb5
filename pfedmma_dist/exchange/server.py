"""Server: what becomes of the mean of a round before clients start from it.

With x what clients started from and Delta = mean - x (Reddi et al., Adaptive Federated
Optimization, ICLR 2021, algorithm 2; FedAvgM: Hsu et al., 2019):

    average, momentum    m = beta1 m + Delta                    x + lr m
    adagrad, adam, yogi  m = beta1 m + (1 - beta1) Delta        x + lr m / (sqrt v + tau)

where v begins at tau^2 and adds up (adagrad), runs (adam) or follows (yogi) the squares of Delta.
There is no bias correction, as in the paper. The rules of `robust.py` step like `average`, to
another centre than the mean; a rule of your own (`rules.py`) says itself where to go. All numbers
are float64 and every rank computes them from the same exact mean, so they do not depend on how
many ranks there are.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pfedmma_dist.exchange.robust import CENTRES, Centre, Guard, Opening, centre
from pfedmma_dist.exchange.rules import Remembering
from pfedmma_dist.world import LIMIT

Square = Callable[[Tensor, Tensor, float], Tensor]
"""(running square [S], squared Delta [S], beta2) -> new running square [S]"""

SQUARES: dict[str, Square] = {
    "adagrad": lambda v, square, beta2: v + square,
    "adam": lambda v, square, beta2: beta2 * v + (1 - beta2) * square,
    "yogi": lambda v, square, beta2: v - (1 - beta2) * square * torch.sign(v - square),
}

PLAIN_BETA1 = {"average": 0.0, "momentum": 0.9, "adagrad": 0.0, "adam": 0.9, "yogi": 0.9}
"""What is kept of the running mean, unless it is said otherwise; the papers' values."""


class Server:
    """One rule with its state, of S shared numbers."""

    def __init__(
        self,
        name: str,
        lr: float,
        beta1: float | None,
        beta2: float,
        tau: float,
        size: int,
        guard: Guard | None = None,
        *,
        opened: bool = False,
        own: Remembering | None = None,
    ) -> None:
        """name: average, momentum, or one of SQUARES or CENTRES. beta1: None is the rule's own.
        size: S. guard: of CENTRES. opened: uploads lie in the open whatever the rule.
        own: a rule of your own, which steps in place of that of `average`."""
        self.square, self.lr, self.beta2, self.tau = SQUARES.get(name), lr, beta2, tau
        self.robust, self.guard = name if name in CENTRES else None, guard or Guard()
        self.opened, self.own = opened, own
        average = name == "average" or self.robust is not None
        self.beta1 = PLAIN_BETA1.get(name, 0.0) if beta1 is None or average else beta1
        # Then what it steps to is handed out, to the bit.
        self.plain = average and lr == 1.0 and own is None
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.running = torch.full((size,), tau**2, dtype=torch.float64)

    @property
    def sees_uploads(self) -> bool:
        """Whether each upload must arrive, not their mean alone."""
        return self.opened or self.robust is not None

    def centre(self, mean: Tensor, found: Opening) -> Centre:
        """Return what a round comes to: its mean [S] float64, or the centre of its uploads."""
        return Centre(mean) if self.robust is None else centre(self.robust, found, self.guard)

    def step(self, shared: Tensor, mean: Tensor) -> Tensor:
        """Return what clients start from next [S] float64; ValueError where it runs away.

        shared: what they started from [S]. mean: of what they sent [S] float64, or its `centre`.
        """
        if self.plain:
            return mean
        start = shared.double()
        after = start + self.lr * self._direction(start, mean - start)
        if not bool((after.abs() < LIMIT).all()):
            raise ValueError(
                f"server.lr: {self.lr} drove the shared numbers to values that are not finite or "
                f"not below {LIMIT:g}; lower server.lr"
            )
        return after

    def _direction(self, start: Tensor, delta: Tensor) -> Tensor:
        """Return where to go, and remember delta [S]."""
        if self.own is not None:
            return self.own.direction(start, delta)
        if self.square is None:
            self.mean = self.beta1 * self.mean + delta
            return self.mean
        self.mean = self.beta1 * self.mean + (1 - self.beta1) * delta
        self.running = self.square(self.running, delta.square(), self.beta2)
        return self.mean / (self.running.sqrt() + self.tau)

    def state(self) -> dict[str, Tensor]:
        """Return what the next step needs; nothing where the mean is handed out."""
        tensors = {"server_mean": self.mean, "server_square": self.running}
        used = [not self.plain and self.beta1 > 0, self.square is not None]
        found = {key: x for (key, x), use in zip(tensors.items(), used, strict=True) if use}
        return found | (self.own.state() if self.own is not None else {})

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self.mean = state.get("server_mean", self.mean).clone()
        self.running = state.get("server_square", self.running).clone()
        if self.own is not None:
            self.own.load(state)
