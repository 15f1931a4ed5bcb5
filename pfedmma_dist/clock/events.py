"""Events: the rounds of a server that does not wait, from a queue of uploads under way."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from pfedmma_dist.clock.laps import Lap, Work, present
from pfedmma_dist.clock.profiles import Profiles
from pfedmma_dist.rng import generator


@dataclass(frozen=True, order=True)
class Flight:
    """A client that trains, in the order in which they finish."""

    end: float
    number: int  # counted over all starts of the run, so that no two are equal
    client: int
    begun: int  # the round whose shared part it has
    seconds: float
    lost: bool


def going_on(
    profiles: Profiles,
    work: Work,
    seed: int,
    clients: np.ndarray,  # [K] sorted, all that train
    num_flying: int,  # clients that train at any time
    buffer: int,  # uploads of an update
    dropouts: bool,
) -> Iterator[Lap]:
    """Yield a round for each update: all that finish between the last one and this one.

    As soon as a client has finished another one starts, from the newest shared part, drawn of those
    that neither train nor have finished since the last update. So a client finishes once a round at
    most. Where nobody is left to start and to wait for, the update is made of what is there.
    """
    queue: list[Flight] = []
    free = np.zeros(int(clients.max()) + 1, bool)
    free[clients] = True
    starts, now, last = count(), 0.0, 0.0

    def start(version: int) -> None:
        number = next(starts)
        rng = generator(seed, "start", number)
        idle = np.flatnonzero(free)
        own = rng.choice(present(profiles, rng, idle) if dropouts else idle, 1)
        slower = np.exp(profiles.jitter[own] * rng.standard_normal(1))
        lost = dropouts & (rng.random(1) < profiles.dropout[own])
        took = float((work(own, version) * slower)[0])
        flight = Flight(now + took, number, int(own[0]), version, took, bool(lost[0]))
        heapq.heappush(queue, flight)
        free[own] = False

    for version in count():
        done: list[Flight] = []
        missing = buffer
        while missing:
            while len(queue) < num_flying and free.any():
                start(version)
            if not queue:
                break
            done.append(heapq.heappop(queue))
            now = done[-1].end
            missing -= not done[-1].lost
        done.sort(key=lambda flight: flight.client)
        free[[flight.client for flight in done]] = True
        yield Lap(
            np.array([flight.client for flight in done], np.int64),
            np.array([flight.seconds for flight in done]),
            np.array([not flight.lost for flight in done], bool),
            np.array([flight.lost for flight in done], bool),
            np.array([flight.begun for flight in done], np.int64),
            now - last,
            now,
            tuple(sorted({flight.begun for flight in queue})),
        )
        last = now
