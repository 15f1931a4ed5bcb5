"""Stages of the uplink that a configuration can name, in the order in which rows go through them.

To add one, write its class in a file of `exchange/`, its keys in a section of the configuration,
and give it a line in `named`.
"""

from pfedmma_dist.config.choices import Privacy
from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.gathered import Gathered
from pfedmma_dist.exchange.uplink import Stage, Uplink
from pfedmma_dist.federation.protection import RELEASE, private_stages
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
    alone = [key for key, stage in found.items() if stage.sums_alone]
    if alone and isinstance(exchange, Gathered):
        raise ValueError(
            f"{alone[0]}: it is about sums in which no client can be told apart, and the server "
            "sees each upload here (server.name, method.name); set server.name=average, or another "
            "method"
        )
    exchange.closing = uplink.close
    return uplink


def named(cfg: Config, layout: Layout) -> dict[str, Stage]:
    """Return the stages in their order, by the key that asks for each."""
    private = private_stages(cfg)
    found: dict[str, Stage] = {}
    found |= {key: stage for key, stage in private.items() if key != RELEASE}
    after_clipping = len(found)
    # What makes updates smaller (bits, sparsity) goes here.
    if cfg.privacy.name is Privacy.central:
        refuse_longer(list(found)[after_clipping:])
    return found | {key: stage for key, stage in private.items() if key == RELEASE}


def refuse_longer(keys: list[str]) -> None:
    """Refuse stages between clipping and noise at the server, which may make an update longer than
    it was clipped to; keys: what asks for them."""
    if keys:
        raise ValueError(
            f"{keys[0]}: it changes updates after they are clipped, so that noise at the server "
            "would hide less than it says; leave it out, or set privacy.name=local"
        )
