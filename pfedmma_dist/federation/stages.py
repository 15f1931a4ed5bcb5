"""Stages of the uplink that a configuration can name, in the order in which rows go through them.

To add one, write its class in a file of `exchange/`, its keys in a section of the configuration,
and give it a line in `named`.
"""

import numpy as np

from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.collusion import Collusion
from pfedmma_dist.exchange.gathered import Gathered
from pfedmma_dist.exchange.uplink import Stage, Uplink
from pfedmma_dist.federation.attackers import attack_stages
from pfedmma_dist.params import Layout


def uplink_of(cfg: Config, exchange: Exchange, layout: Layout, attackers: np.ndarray) -> Uplink:
    """Return the configured stages, which `exchange` then closes its rounds with; ValueError where
    they do not fit the rest. attackers: [A] clients."""
    found = attack_stages(cfg, attackers) | named(cfg, layout)
    uplink = Uplink(tuple(found.values()))
    if not found:
        return uplink
    key = next(iter(found))
    if not layout.num_shared:
        raise ValueError(
            f"{key}: it is about what clients send, and this method shares nothing; leave it out"
        )
    if not exchange.staged or not isinstance(exchange, Average):
        raise ValueError(
            f"{key}: it is about the mean of rows, and clients of this method send something else "
            "(method.name, method.train, method.merge, method.ranks); leave it out"
        )
    exchange.closing = uplink.close
    for stage in found.values():
        if isinstance(stage, Collusion):
            assert isinstance(exchange, Gathered)  # as its server sees uploads
            exchange.meddling = stage.meddle
    return uplink


def named(cfg: Config, layout: Layout) -> dict[str, Stage]:
    """Return the stages in their order, by the key that asks for each."""
    return {}
