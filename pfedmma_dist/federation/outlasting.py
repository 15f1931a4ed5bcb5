"""Outlasting: what cannot go on where uploads are lost, late or out of step."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pfedmma_dist.config.choices import Asynchrony, Sampling
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.gathered import Gathered

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation

SYNCHRONOUS = "set system.asynchrony=none"


def uploads_of_an_update(cfg: SystemConfig) -> int:
    """Return how many uploads a server that does not wait makes an update of."""
    return cfg.buffer if cfg.asynchrony is Asynchrony.fedbuff else 1


def refuse(federation: "Federation") -> None:
    """Refuse a clock that parts what belongs together."""
    cfg, fraction, num_seen = (
        federation.cfg.system, federation.cfg.federation.fraction, len(federation.seen),
    )  # fmt: skip
    if cfg.over_selection and int(fraction * num_seen) >= num_seen:
        raise ValueError(
            f"system.over_selection: {cfg.over_selection:g} draws more clients than "
            f"federation.fraction={fraction:g} does, and that draws all; lower federation.fraction"
        )
    if federation.cfg.federation.sampling is Sampling.poisson:
        for key in _drawing(cfg):
            raise ValueError(
                f"{key} draws as many clients as federation.fraction says, and "
                "federation.sampling=poisson draws each by itself; set federation.sampling=fixed, "
                "or leave it out"
            )
    for key in _losing(cfg):
        _refuse_parted(federation, key)
    if cfg.asynchrony is not Asynchrony.none:
        _refuse_out_of_step(federation, f"system.asynchrony: {cfg.asynchrony.value}")


def _drawing(cfg: SystemConfig) -> Iterator[str]:
    """Yield key and value of all that has a draw of its own."""
    if cfg.dropouts:
        yield "system.dropouts: true"
    if cfg.over_selection:
        yield f"system.over_selection: {cfg.over_selection:g}"
    if cfg.asynchrony is not Asynchrony.none:
        yield f"system.asynchrony: {cfg.asynchrony.value}"


def _losing(cfg: SystemConfig) -> Iterator[str]:
    """Yield key and value of all by which an upload can be lost, late or old."""
    yield from _drawing(cfg)
    if cfg.deadline is not None:
        yield f"system.deadline: {cfg.deadline:g}"


def _refuse_parted(federation: "Federation", key: str) -> None:
    """Refuse numbers of clients and server that only uploads of everybody hold together."""
    name = federation.cfg.correction.name.value
    if any(each.num_sent or each.even for each in federation.corrections):
        raise ValueError(
            f"{key} parts what clients and server keep of each other under correction.name={name}; "
            "set correction.name=none, or another one"
        )
    if not federation.exchange.staged or not federation.exchange.uniform:
        raise ValueError(
            f"{key} needs a server that takes the mean of the rows that are there, and clients of "
            "this method send or receive something else (method.name, method.train, method.merge, "
            "method.ranks); leave it out"
        )


def _refuse_out_of_step(federation: "Federation", key: str) -> None:
    """Refuse what needs the uploads of one round side by side."""
    rest = federation.cfg
    if not federation.layout.num_shared:
        raise ValueError(
            f"{key} is about what clients send, and this method shares nothing; {SYNCHRONOUS}"
        )
    if federation.uplink.stages or federation.uplink.masking:
        raise ValueError(
            f"{key} has no round in which privacy, attacks, secure sums or compression could meet; "
            f"{SYNCHRONOUS}, or leave these out"
        )
    if not federation.method.goes_on:
        raise ValueError(
            f"{key} adds up how far clients have come, and clients of this method send what does "
            f"not go on from what they were handed (method.name); {SYNCHRONOUS}"
        )
    if isinstance(federation.exchange, Gathered):
        raise ValueError(
            f"{key} has no uploads side by side for server.name={rest.server.name.value}; "
            f"{SYNCHRONOUS}, or set server.name=average"
        )
    if type(federation.exchange) is not Average:
        raise ValueError(
            f"{key} has no rounds of which this method could score a mean (method.deviation); "
            f"{SYNCHRONOUS}, or method.deviation=null"
        )
    if rest.federation.first_round_all:
        raise ValueError(f"{key} has no first round; set federation.first_round_all=false")
    buffer, num_seen = uploads_of_an_update(rest.system), len(federation.seen)
    if buffer > num_seen:
        raise ValueError(
            f"system.buffer: {buffer} uploads of different clients make an update, and {num_seen} "
            f"clients train; set {num_seen} or less"
        )
