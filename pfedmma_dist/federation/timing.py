"""Timing: the clock of a federation, from its configuration, exact steps and exact bytes."""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pfedmma_dist.clock.events import going_on
from pfedmma_dist.clock.laps import Drawn, Lap, present, waiting
from pfedmma_dist.clock.profiles import Profiles, of_fleet, read
from pfedmma_dist.config.choices import Asynchrony, Fleet
from pfedmma_dist.exchange import BYTES, Exchange
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.buffered import Buffered, Mixing
from pfedmma_dist.federation.arithmetic import Arithmetic, operations_of
from pfedmma_dist.federation.outlasting import refuse, uploads_of_an_update
from pfedmma_dist.rng import generator

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


class Clock:
    """Who trains in which round of a federation, and how long that takes.

    Laps follow from each other, so all up to the one that is asked for are kept.
    """

    def __init__(self, federation: "Federation") -> None:
        """federation: with its exchange, uplink and corrections, and without features."""
        self.federation, self.cfg = federation, federation.cfg.system
        refuse(federation)
        cfg, num_clients = self.cfg, federation.task.num_clients
        self.profiles = _profiles(federation, num_clients)
        given, self.flops = cfg.flops_per_image, np.empty(num_clients)
        for own in federation.task.by_set(np.arange(num_clients)):
            some = np.append(own[np.isin(own, federation.seen)], own)[:1]  # who trains, if any does
            found = operations_of(federation, some) if given is None else Arithmetic(0.0, given)
            self.flops[own] = found.of_round(federation, own)
        self.laps: list[Lap] = []
        self._next = self._from_now_on()

    def lap(self, round_index: int) -> Lap:
        """Return a round."""
        self.laps += islice(self._next, max(0, round_index + 1 - len(self.laps)))
        return self.laps[round_index]

    def numbers(self, round_index: int) -> dict[str, float]:
        """Return column of metrics.csv -> number of a round."""
        lap = self.lap(round_index)
        return {
            "simulated_seconds": lap.took,
            "simulated_so_far": lap.end,
            "clients_arrived": int(lap.arrived.sum()),
            "clients_late": int(lap.late.sum()),
            "clients_lost": int(lap.lost.sum()),
        }

    def facts(self, num_rounds: int) -> dict[str, Any]:
        """Return what result.json says of so many rounds."""
        laps = [self.lap(index) for index in range(num_rounds)]
        return {
            "seconds": laps[-1].end if laps else 0.0,
            "arrived": sum(int(lap.arrived.sum()) for lap in laps),
            "late": sum(int(lap.late.sum()) for lap in laps),
            "lost": sum(int(lap.lost.sum()) for lap in laps),
            "rounds_without_upload": sum(not lap.arrived.any() for lap in laps),
        }

    def table(self, num_rounds: int) -> str:
        """Return the text of clock.csv: of so many rounds a line for every client that trained.

        from_round: whose shared part it trained from. seconds: from there to the end of its upload.
        """
        lines = ["round,client,from_round,seconds,fate\n"]
        for index in range(num_rounds):
            lap = self.lap(index)
            fates = np.where(lap.arrived, "arrived", np.where(lap.lost, "lost", "late"))
            columns = (lap.clients, lap.begun, lap.seconds, fates)
            lines += [f"{index},{c},{b},{s:.8g},{f}\n" for c, b, s, f in zip(*columns, strict=True)]
        return "".join(lines)

    @property
    def digest(self) -> str:
        """Say in hexadecimal digits of which devices and work it is."""
        numbers = np.concatenate([self.profiles.table, self.flops[None]])
        return hashlib.sha256(numbers.tobytes()).hexdigest()

    def waited_for(self, exchange: Exchange) -> Exchange:
        """Return the exchange, or in its place that of a server that does not wait."""
        cfg = self.cfg
        if cfg.asynchrony is Asynchrony.none:
            return exchange
        mixing = cfg.mixing if cfg.asynchrony is Asynchrony.fedasync else None
        assert type(exchange) is Average
        return Buffered(exchange.shared, exchange.server, self.lap, Mixing(cfg.staleness, mixing))

    def _from_now_on(self) -> Iterator[Lap]:
        """Return the laps of the run, from the first."""
        federation, cfg = self.federation, self.cfg
        seed, of_all = federation.cfg.seed, federation.cfg.federation.fraction
        if cfg.asynchrony is Asynchrony.none:
            return waiting(
                self.profiles, self._seconds, seed, self._drawn, cfg.deadline, cfg.dropouts
            )
        flying = max(int(of_all * len(federation.seen)), 1)
        return going_on(
            self.profiles, self._seconds, seed, federation.seen, flying,
            uploads_of_an_update(cfg), cfg.dropouts,
        )  # fmt: skip

    def _drawn(self, round_index: int) -> Drawn:
        """Return the clients of a round that waits: as without a clock, unless some are away or
        more are drawn."""
        federation, cfg = self.federation, self.cfg
        usual = federation.drawn(round_index)
        if not cfg.dropouts and not cfg.over_selection:
            return Drawn(usual, len(usual))
        rng = generator(federation.cfg.seed, "present", round_index)
        there = federation.seen
        if cfg.dropouts:
            there = present(self.profiles, rng, there)
        count = min(int(np.ceil(len(usual) * (1 + cfg.over_selection))), len(there))
        return Drawn(np.sort(rng.choice(there, count, replace=False)), min(len(usual), count))

    def _seconds(self, clients: np.ndarray, round_index: int) -> np.ndarray:
        """Return what clients of a round take to download, train and upload [n]."""
        federation, own = self.federation, self.profiles
        costs = [federation.cost_among(clients[[place]]) for place in range(len(clients))]
        up = np.array([8.0 * cost.bytes_up for cost in costs])
        down = np.array([8.0 * (cost.bytes_down + BYTES * cost.start) for cost in costs])
        flops = self.flops[clients]
        if any(cost.once for cost in costs):
            first = ~np.isin(clients, federation.trained(round_index))
            up = up * first
            flops = flops * first
        return (
            down / own.down_bits_per_second[clients]
            + flops / own.flops_per_second[clients]
            + up / own.up_bits_per_second[clients]
        )


def clock_of(federation: "Federation") -> Clock | None:
    """Return the configured clock; None where none runs."""
    return None if federation.cfg.system.fleet is Fleet.none else Clock(federation)


def _profiles(federation: "Federation", num_clients: int) -> Profiles:
    """Return the profile of every client."""
    cfg = federation.cfg.system
    if cfg.fleet is not Fleet.file:
        return of_fleet(cfg.fleet.value, federation.cfg.seed, num_clients)
    if cfg.profiles is None:
        raise ValueError(
            "system.profiles: null, and system.fleet=file reads profiles from a file; name one, or "
            "set system.fleet=mixed"
        )
    return read(Path(cfg.profiles).expanduser(), num_clients)
