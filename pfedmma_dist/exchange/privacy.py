"""Privacy: clipped updates of the shared part, and the noise that hides each of them.

DP-FedAvg (McMahan et al., ICLR 2018) in whole numbers: a clipped update is cut towards 0 onto a
grid of a power of two, which only shortens it; so are its sums exact, and noise is a discrete
Gaussian on the same grid. Everything random is a function of seed, round and client.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost
from pfedmma_dist.exchange.gaussian import LARGEST, discrete_gaussian
from pfedmma_dist.exchange.uplink import Parcel, Stage
from pfedmma_dist.rng import generator
from pfedmma_dist.world.fixed import FRACTION_BITS

ROW_BITS = 22
"""A clipped number is below 2^(ROW_BITS + 1) steps of its grid: float32 holds it to the bit."""

SHORTER = 1 - 2.0**-30
"""What a clipped update is shortened by, more than rounding can lengthen it: norms of up to 2^20
numbers are right to 2^-33."""

CLIPS = 1e-6, 512.0
"""Within which the largest norm stays where it follows the updates."""

COUNT_STEPS = 1024
"""Steps of the grid of noise on a count, for each client."""

CLIP = "privacy_clip"
"""Name of the norm in the server's state."""


@dataclass
class Bound:
    """How far an update may go in the open round, and how it is written in whole numbers."""

    seed: int
    norm: float  # C, of L2
    cohort_of: Callable[[int, int], float]  # (round, clients) -> m, those expected
    noise_of: Callable[[int], float]  # clients -> multiplier of all noise of a round together
    quantile: float | None = None  # of the updates' norms, which C follows; None: it is fixed
    rate: float = 0.2  # at which log C moves
    count_noise: float = 0.05  # deviation on the count of unclipped clients, as a share of m
    noise: float = 0.0  # of updates and counts together
    num_clients: int = 1  # K, who may take part
    following: float = field(init=False)  # C of the next round

    def __post_init__(self) -> None:
        self.following = self.norm

    def begin(self, num_clients: int) -> None:
        """Learn how many clients may take part."""
        self.num_clients, self.noise = num_clients, self.noise_of(num_clients)
        if self.is_adaptive and self.noise:
            for index in (0, 1):  # ValueError where nothing is left for them
                self.update_noise(index)

    @property
    def is_adaptive(self) -> bool:
        """Whether C moves."""
        return self.quantile is not None

    @property
    def share(self) -> float:
        """Weight that clients send their updates with: a power of two, so that it rounds
        nothing, and small enough for all of them to add up."""
        return 2.0 ** -self.num_clients.bit_length()

    def cohort(self, round_index: int) -> float:
        """Return m, the clients that are expected in a round."""
        return self.cohort_of(round_index, self.num_clients)

    def count_deviation(self, round_index: int) -> float:
        """Return the deviation of noise on the sum of +-1 over clients, unclipped or not: that of
        the count, twice."""
        return 2 * self.count_noise * self.cohort(round_index)

    def update_noise(self, round_index: int) -> float:
        """Return the multiplier on updates, which is more than that of all noise together where
        some of it goes to a count (Andrew et al., theorem 1)."""
        if not self.is_adaptive or not self.noise:
            return self.noise
        counts = self.count_deviation(round_index)
        if counts <= self.noise:
            raise ValueError(
                f"privacy.count_noise: {self.count_noise:g} of {self.cohort(round_index):g} "
                f"expected clients leaves nothing for updates at noise {self.noise:g}; set "
                f"{0.75 * self.noise / self.cohort(round_index):.2g} or more"
            )
        return (self.noise**-2 - counts**-2) ** -0.5

    def step(self, round_index: int) -> float:
        """Return the step of the grid, a power of two: at most 2^-22 C where noise is up to 4
        C."""
        noise = self.update_noise(round_index)
        coarser = max(math.ceil(math.log2(noise)) - 2, 0) if noise else 0
        exponent = math.frexp(self.norm)[1] - 1 - ROW_BITS + coarser
        return 2.0 ** max(exponent, self.num_clients.bit_length() - FRACTION_BITS)

    def deviation(self, round_index: int) -> int:
        """Return the deviation of noise on an update or a sum of them, in steps, rounded up."""
        return math.ceil(self.update_noise(round_index) * self.norm / self.step(round_index))


class Clipping(Stage):
    """Makes an update of a row, no longer than C; the server counts who was within, and moves C
    (Andrew et al., Differentially Private Learning with Adaptive Clipping, NeurIPS 2021)."""

    always = True
    sums_alone = True

    def __init__(self, bound: Bound, *, cap: int | None = None, by_samples: bool = False) -> None:
        """cap: images beyond which a client counts for no more; None: all count the same.
        by_samples: for its share of the round's images."""
        self.bound, self.cap, self.by_samples = bound, cap, by_samples
        self.num_counts = int(bound.is_adaptive)
        self.sizes = np.zeros(0, np.int64)

    def begin(self, sizes: np.ndarray, num_clients: int) -> None:
        """Learn the clients' images [K] and how many clients may take part."""
        self.sizes = sizes
        self.bound.begin(num_clients)

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        """Return clipped updates in place of rows, with one weight for all clients."""
        bound, index = self.bound, parcel.round_index
        update = parcel.rows.double() - parcel.start.double()
        norm = update.square().sum(dim=1).sqrt()
        factor = (bound.norm / norm.clamp(min=bound.norm)) * SHORTER
        update *= (factor * self._counts_for(parcel))[:, None]
        if bound.noise:
            step = bound.step(index)
            update = (update / step).trunc() * step
        sent = replace(
            parcel,
            start=torch.zeros_like(parcel.start),
            rows=update.float(),
            weight=torch.full_like(parcel.weight, bound.share),
        )
        within = torch.where(norm <= bound.norm, 1, -1).sum(dim=0, keepdim=True)
        return sent, within[: self.num_counts]

    def _counts_for(self, parcel: Parcel) -> Tensor:
        """Return what each client counts for [G] float64; 1 is a whole client."""
        if self.by_samples:
            return parcel.weight * self.bound.cohort(parcel.round_index)
        if self.cap is None:
            return torch.ones_like(parcel.weight)
        images = torch.from_numpy(self.sizes[parcel.clients]).double()
        return images.clamp(max=self.cap) / self.cap

    def close(self, mean: Tensor, counts: Tensor, before: Tensor, round_index: int) -> Tensor:
        """Move C for the next round, by a noised count."""
        bound = self.bound
        if bound.quantile is None:
            return mean
        within, cohort = float(counts), bound.cohort(round_index)
        if bound.noise:
            deviation = COUNT_STEPS * bound.count_deviation(round_index)
            rng = generator(bound.seed, "privacy count", round_index)
            drawn = discrete_gaussian(rng, min(math.ceil(deviation), LARGEST), 1)
            within += int(drawn[0]) * max(1, deviation / LARGEST) / COUNT_STEPS
        share = within / (2 * cohort) + 0.5
        moved = bound.norm * math.exp(-bound.rate * (share - bound.quantile))
        bound.following = min(max(moved, CLIPS[0]), CLIPS[1])
        return mean

    def cost(self, cost: Cost) -> Cost:
        """A moving C goes down, and one bit as a number up."""
        extra = self.num_counts
        return replace(cost, up=cost.up + extra, down=cost.down + extra)

    def state(self) -> dict[str, Tensor]:
        """Return C, where it moves."""
        norm = torch.tensor([self.bound.norm], dtype=torch.float64)
        return {CLIP: norm} if self.bound.is_adaptive else {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned."""
        super().load(state)
        if self.bound.is_adaptive:
            self.bound.norm = self.bound.following = float(state[CLIP])


class LocalNoise(Stage):
    """Adds noise to every update before it leaves its client."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        """Return noised updates."""
        bound, index = self.bound, parcel.round_index
        if not bound.noise:
            return super().send(parcel)
        steps, size = bound.deviation(index), parcel.rows.shape[1]
        keys = ((bound.seed, "privacy local", index, int(client)) for client in parcel.clients)
        drawn = np.stack([discrete_gaussian(generator(*key), steps, size) for key in keys])
        noise = torch.from_numpy(drawn).double() * bound.step(index)
        return super().send(replace(parcel, rows=(parcel.rows.double() + noise).float()))


class Release(Stage):
    """What the server makes of the sum of updates: their mean, with noise, from where they began.

    The last of the uplink: the mean counts the expected clients, so that nobody's coming or staying
    away changes anybody else's part.
    """

    def __init__(self, bound: Bound, *, noisy: bool) -> None:
        """noisy: noise is added here."""
        self.bound, self.noisy = bound, noisy

    def close(self, mean: Tensor, counts: Tensor, before: Tensor, round_index: int) -> Tensor:
        """Return where a round comes to [S] float64."""
        bound = self.bound
        total = mean / bound.share
        if self.noisy and bound.noise:
            rng = generator(bound.seed, "privacy", round_index)
            drawn = discrete_gaussian(rng, bound.deviation(round_index), len(total))
            total = total + torch.from_numpy(drawn).double() * bound.step(round_index)
        bound.norm = bound.following
        return before + total / bound.cohort(round_index)
