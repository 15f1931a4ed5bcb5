"""Loudness: how much louder than noise the clients of a round can be, by method and federation."""

import math
from dataclasses import dataclass

from rich import box
from rich.table import Table

from pfedmma_dist.accountant import least_noise
from pfedmma_dist.config.choices import Accountant, Privacy
from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.gathered import Gathered
from pfedmma_dist.federation.protection import MOST_DELTA, signal_to_noise
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout

EPSILON = 8.0
"""Of the table, unless privacy.target_epsilon says another one."""


@dataclass(frozen=True)
class Size:
    """A federation: clients, how many of them are expected in a round, rounds."""

    clients: int  # K
    cohort: float  # m
    rounds: int  # T

    def noise(self, accountant: str, epsilon: float) -> float:
        """Return the least multiplier z that keeps epsilon at delta K^-1.1, at most MOST_DELTA."""
        delta = min(MOST_DELTA, self.clients**-1.1)
        return least_noise(accountant, epsilon, self.cohort / self.clients, self.rounds, delta)


SIZES = (
    Size(100, 10, 50),
    Size(1_000, 100, 100),
    Size(10_000, 100, 100),
    Size(100_000, 1_000, 100),
)
"""The paper's 100 clients, then as many as it takes."""


def loudness(cfg: Config, methods: dict[str, Method]) -> tuple[Table, str]:
    """Return the ratio m / (z sqrt S) of every method whose mean of rows [S] can be noised, at the
    epsilon of the configuration, and a line about the others.

    methods: by name, at the sizes of a CLIP.
    """
    own = cfg.privacy
    sizes: tuple[Size, ...] = SIZES
    accountant, epsilon = Accountant.integer_rdp.value, EPSILON
    if own.name is not Privacy.none:
        accountant, epsilon = own.accountant.value, own.target_epsilon or EPSILON
        if cfg.data.num_clients is not None:
            share = cfg.federation.fraction
            expected = share * cfg.data.num_clients
            sizes += (Size(cfg.data.num_clients, expected, cfg.federation.rounds),)
    noises = [size.noise(accountant, epsilon) for size in sizes]
    table = Table(
        title=f"clients' signal over noise in a round, epsilon {epsilon:g} ({accountant})",
        title_justify="left", box=box.SIMPLE_HEAD, caption_justify="left",
        caption="in brackets: hopeless, noise is louder than clients that all agree",
    )  # fmt: skip
    table.add_column("Method\nclients, a round, rounds\nnoise z")
    table.add_column("Shared", justify="right")
    for size, noise in zip(sizes, noises, strict=True):
        told = f"{size.clients:,}\n{size.cohort:,g}, {size.rounds:,}\n{noise:.2f}"
        table.add_column(told, justify="right")
    left_out = []
    for name, method in methods.items():
        shared = summed(method)
        if shared:
            ratios = [
                signal_to_noise(size.cohort, noise, shared)
                for size, noise in zip(sizes, noises, strict=True)
            ]
            table.add_row(name, f"{shared:,}", *map(shown, ratios))
        else:
            left_out.append(name)
    words = "share nothing, or more than a mean of rows: " + ", ".join(left_out)
    return table, words if left_out else ""


def summed(method: Method) -> int:
    """Return how many numbers of each client go into the mean of rows; 0 where more is seen."""
    layout = Layout(method.specs)
    exchange = method.exchange(layout, layout.template(0), 0)
    sums_alone = isinstance(exchange, Average) and not isinstance(exchange, Gathered)
    return layout.num_shared if exchange.staged and sums_alone else 0


def shown(ratio: float) -> str:
    """Return a ratio to two digits, in brackets below 1."""
    if not ratio:
        return "(0)"
    digits = max(1 - math.floor(math.log10(ratio)), 0)
    text = f"{ratio:,.{digits}f}"
    return text if ratio >= 1 else f"({text})"
