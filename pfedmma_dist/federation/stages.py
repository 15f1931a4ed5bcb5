"""Stages of the uplink that a configuration can name, in the order in which rows go through them.

To add one, write its class in a file of `exchange/`, its keys in a section of the configuration,
and give it a line in `named`.
"""

import numpy as np

from pfedmma_dist.config.choices import CorrectionName, Fairness, Privacy, ServerRule
from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.bits import WHOLE, Coarse
from pfedmma_dist.exchange.collusion import Collusion
from pfedmma_dist.exchange.fair import Agnostic, QFair
from pfedmma_dist.exchange.gathered import Gathered
from pfedmma_dist.exchange.secure import Masking
from pfedmma_dist.exchange.uplink import Stage, Uplink
from pfedmma_dist.federation.attackers import attack_stages
from pfedmma_dist.federation.protection import RELEASE, private_stages
from pfedmma_dist.params import Layout

MEANS = (
    ServerRule.average, ServerRule.momentum, ServerRule.adagrad, ServerRule.adam, ServerRule.yogi,
)  # fmt: skip
"""Rules that step to a mean of rows, or along it."""


def uplink_of(
    cfg: Config, exchange: Exchange, layout: Layout, num_clients: int, attackers: np.ndarray
) -> Uplink:
    """Return the configured stages, which `exchange` then closes its rounds with; ValueError where
    they do not fit the rest.

    num_clients: K, of the whole federation. attackers: [A] clients.
    """
    found = attack_stages(cfg, attackers) | named(cfg, layout, num_clients)
    masking = _masking(cfg, exchange, layout)
    uplink = Uplink(tuple(found.values()), masking)
    asked = [*found, *(["exchange.secure"] if masking else [])]
    if not asked:
        return uplink
    if not layout.num_shared:
        raise ValueError(
            f"{asked[0]}: it is about what clients send, and this method shares nothing; leave it "
            "out"
        )
    if not exchange.staged or not isinstance(exchange, Average):
        raise ValueError(
            f"{asked[0]}: it is about the mean of rows, and clients of this method send something "
            "else (method.name, method.train, method.merge, method.ranks); leave it out"
        )
    coarse = [key for key, stage in found.items() if isinstance(stage, Coarse)]
    if coarse and cfg.exchange.feedback and not exchange.goes_on:
        raise ValueError(
            f"exchange.feedback: true adds what {coarse[0]} has left out to a client's next "
            "upload, which is of other prompts here (method.name); set exchange.feedback=false"
        )
    alone = [key for key, stage in found.items() if stage.sums_alone]
    if alone and isinstance(exchange, Gathered):
        raise ValueError(
            f"{alone[0]}: it is about sums in which no client can be told apart, and the server "
            "sees each upload here (server.name, method.name); set server.name=average, or another "
            "method"
        )
    exchange.closing, exchange.masking = uplink.close, masking
    exchange.always = uplink.always
    for stage in found.values():
        if isinstance(stage, Collusion):
            assert isinstance(exchange, Gathered)  # as its server sees uploads
            exchange.meddling = stage.meddle
    return uplink


def named(cfg: Config, layout: Layout, num_clients: int) -> dict[str, Stage]:
    """Return the stages in their order, by the key that asks for each."""
    found = private_stages(cfg)
    last = {key: found.pop(key) for key in list(found) if key == RELEASE}
    num_clipped, own = len(found), cfg.exchange
    if own.bits < WHOLE or own.top < 1:
        key = "exchange.bits" if own.bits < WHOLE else "exchange.top"
        found[key] = Coarse(layout.num_shared, own.bits, own.top, own.feedback, cfg.seed)
    elif not own.feedback:
        raise ValueError(
            "exchange.feedback: false, where nothing is left out that could go with a later move; "
            "set exchange.bits or exchange.top, or leave it true"
        )
    if cfg.privacy.name is Privacy.central:
        refuse_longer(list(found)[num_clipped:])
    _add_fairness(found, cfg, num_clients)
    return found | last


def refuse_longer(keys: list[str]) -> None:
    """Refuse stages between clipping and noise at the server, which may make an update longer than
    it was clipped to; keys: what asks for them."""
    if keys:
        raise ValueError(
            f"{keys[0]}: it changes updates after they are clipped, so that noise at the server "
            "would hide less than it says; leave it out, or set privacy.name=local"
        )


def _add_fairness(found: dict[str, Stage], cfg: Config, num_clients: int) -> None:
    """Add the stage that weighs clients by their losses."""
    rule, key = cfg.server, "server.fair"
    if rule.fair is Fairness.none:
        return
    if rule.name not in MEANS:
        raise ValueError(
            f"{key}: {rule.fair.value} weighs a mean, and server.name={rule.name.value} takes "
            "another centre; set one of the two alone"
        )
    if cfg.correction.name is CorrectionName.feddyn:
        raise ValueError(
            f"{key}: {rule.fair.value} weighs clients, and correction.name=feddyn takes the plain "
            "mean of them; set one of the two alone"
        )
    if cfg.privacy.name is not Privacy.none:
        raise ValueError(
            f"{key}: {rule.fair.value} weighs clients by their losses, and under privacy.name="
            f"{cfg.privacy.name.value} no client's weight may tell of it; set one of the two alone"
        )
    found[key] = (
        QFair(rule.q, cfg.optim.lr)
        if rule.fair is Fairness.qffl
        else Agnostic(num_clients, rule.fair_rate)
    )


def _masking(cfg: Config, exchange: Exchange, layout: Layout) -> Masking | None:
    """Return the masks of secure sums, None where they are not asked for."""
    own = cfg.exchange
    if not own.secure:
        return None
    if isinstance(exchange, Gathered):
        raise ValueError(
            "exchange.secure: true hides each client's row, and the server of this run needs to "
            f"see them (server.name={cfg.server.name.value}, method.name={cfg.method['name']}); "
            "set exchange.secure=false, or a rule that takes the mean alone"
        )
    if own.bits < WHOLE or own.top < 1:
        key, value = ("bits", own.bits) if own.bits < WHOLE else ("top", own.top)
        raise ValueError(
            f"exchange.{key}: {value} saves nothing under exchange.secure=true, where every number "
            "goes up as a masked one of 64 bits; set one of the two alone"
        )
    if cfg.correction.name is CorrectionName.scaffold:
        raise ValueError(
            "correction.name: scaffold sends numbers beside the row, and "
            "exchange.secure masks the row alone; set correction.name=none or exchange.secure=false"
        )
    return Masking(layout.num_shared, cfg.seed, own.threshold)
