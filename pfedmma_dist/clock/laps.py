"""Laps: who trains in a round, whose upload counts, and when the round is over.

All of it follows from the seed, the profiles and the work of clients, so it is known before
anything is trained and is the same on all ranks and after a resume.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from pfedmma_dist.clock.profiles import Profiles
from pfedmma_dist.rng import generator

Work = Callable[[np.ndarray, int], np.ndarray]
"""Clients [n], round -> seconds [n] that they take for download, training and upload, on a day
without jitter."""


@dataclass(frozen=True)
class Lap:
    """One round on the clock."""

    clients: np.ndarray  # [n] int64 sorted, who train in it
    seconds: np.ndarray  # [n] from a client's start until its upload is there, or would be
    arrived: np.ndarray  # [n] bool
    lost: np.ndarray  # [n] bool, on the way; who neither arrived nor is lost is late
    begun: np.ndarray  # [n] int64, the round whose shared part a client started from
    took: float  # seconds of the round
    end: float  # seconds from the start of the first round to its end
    flying: tuple[int, ...] = ()  # the rounds from which those began who still train at its end

    @property
    def late(self) -> np.ndarray:
        """Who came too late, or was not needed any more [n] bool."""
        return ~self.arrived & ~self.lost


def present(profiles: Profiles, rng: np.random.Generator, clients: np.ndarray) -> np.ndarray:
    """Return which of these clients are there, in their order; where nobody is, the one that is
    likeliest to come by what was drawn: the server waits for it."""
    draw = rng.random(len(profiles.availability))[clients] / profiles.availability[clients]
    there = clients[draw < 1]
    return there if len(there) else clients[[draw.argmin()]]


def lasting(
    profiles: Profiles, work: Work, seed: int, clients: np.ndarray, round_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds [n] that clients of a round take, and whose upload the line drops [n]."""
    rng, num = generator(seed, "lasting", round_index), len(profiles.jitter)
    slower = np.exp(profiles.jitter * rng.standard_normal(num))[clients]
    lost = (rng.random(num) < profiles.dropout)[clients]
    return work(clients, round_index) * slower, lost


@dataclass(frozen=True)
class Drawn:
    """The clients of a round as the server has drawn them."""

    clients: np.ndarray  # [n] int64 sorted
    wanted: int  # uploads that it waits for


def waiting(
    profiles: Profiles,
    work: Work,
    seed: int,
    draw: Callable[[int], Drawn],
    deadline: float | None,
    dropouts: bool,
) -> Iterator[Lap]:
    """Yield the rounds of a server that waits: until it has the uploads it wants, until nobody is
    left to wait for, or until the deadline.

    Whose upload is lost is waited for until then: the line breaks where the upload would have
    ended.
    """
    end, limit = 0.0, np.inf if deadline is None else deadline
    for index in count():
        drawn = draw(index)
        seconds, lost = lasting(profiles, work, seed, drawn.clients, index)
        lost &= dropouts
        order = np.lexsort((drawn.clients, seconds))
        there = order[~lost[order] & (seconds[order] <= limit)][: drawn.wanted]
        arrived = np.zeros(len(seconds), bool)
        arrived[there] = True
        enough = len(there) == drawn.wanted and len(there) > 0
        took = float(seconds[there[-1]]) if enough else min(limit, seconds.max(initial=0.0))
        end += took
        begun = np.full(len(seconds), index)
        yield Lap(drawn.clients, seconds, arrived, lost, begun, float(took), end)
