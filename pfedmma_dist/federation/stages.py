"""Stages of the uplink that a configuration can name, in the order in which rows go through them.

To add one, write its class in a file of `exchange/`, its keys in a section of the configuration,
and give it a line in `named`.
"""

from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.uplink import Stage, Uplink
from pfedmma_dist.params import Layout


def uplink_of(cfg: Config, exchange: Exchange, layout: Layout) -> Uplink:
    """Return the configured stages, which `exchange` then closes its rounds with; ValueError where
    they do not fit the rest."""
    found = named(cfg, layout)
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
    return uplink


def named(cfg: Config, layout: Layout) -> dict[str, Stage]:
    """Return the stages in their order, by the key that asks for each."""
    return {}
