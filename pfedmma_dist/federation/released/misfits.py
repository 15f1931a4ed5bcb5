"""Misfits: what no defect of released code goes together with, refused by key."""

from collections.abc import Iterator

from pfedmma_dist.config.choices import (
    CorrectionName,
    Fairness,
    Fleet,
    Privacy,
    Sampling,
    Schedule,
    ServerRule,
    Unit,
)
from pfedmma_dist.config.keys import Config
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout


def check_released(cfg: Config, method: Method, layout: Layout) -> None:
    """Refuse a switch of `released` that the method, or the rest, leaves without its meaning."""
    for words in _misfits(cfg, method, layout):
        raise ValueError(words)


def _misfits(cfg: Config, method: Method, layout: Layout) -> Iterator[str]:
    own = cfg.released
    ordered = [name for name in ("momentum", "wave", "references") if getattr(own, name)]
    for name in ordered:
        if cfg.system.fleet is not Fleet.none:
            yield (
                f"released.{name}: true is about clients that are visited one after another, and "
                f"system.fleet={cfg.system.fleet.value} lets a clock say who trains; set "
                "system.fleet=none"
            )
        if method.counts:
            yield (
                f"released.{name}: true is about steps of training, and {method.name} takes none; "
                f"set released.{name}=false"
            )
    yield from _of_momentum(cfg) if own.momentum else ()
    if own.best_on_test and cfg.privacy.name is Privacy.central:
        yield (
            "released.best_on_test: true chooses a round by clients' images, without noise; set "
            "released.best_on_test=false, or privacy.name=none"
        )
    if own.stale_text and cfg.federation.sampling is Sampling.poisson:
        yield (
            "federation.sampling: poisson may draw nobody for round 0, whose first client makes "
            "the class vectors of released.stale_text=true; set federation.sampling=fixed"
        )
    if own.wave and (
        cfg.optim.schedule is not Schedule.cosine or cfg.optim.unit is not Unit.epochs
    ):
        yield (
            "released.wave: true goes on with a cosine over epochs, and there are optim.schedule="
            f"{cfg.optim.schedule.value} and optim.unit={cfg.optim.unit.value}; set "
            "optim.schedule=cosine optim.unit=epochs"
        )
    if own.references or own.stale_text:
        exchange = method.exchange(layout, layout.template(0), 0)
        is_mean = exchange.staged and exchange.uniform
        yield from _of_references(cfg, layout, is_mean) if own.references else ()
        if own.stale_text and not is_mean:
            yield (
                "released.stale_text: true, and clients of this method are handed more than a mean "
                "to make class vectors of; set released.stale_text=false"
            )
        if own.stale_text and not layout.num_trained:
            yield (
                f"released.stale_text: true, and {method.name} trains nothing that class vectors "
                "could be stale of; set released.stale_text=false"
            )


def _of_momentum(cfg: Config) -> Iterator[str]:
    """Yield what does not go together with one optimiser."""
    plan = cfg.federation
    for key in ("num_shards", "cohort_size"):
        if getattr(plan, key) not in (None, 1):
            yield (
                f"federation.{key}: {getattr(plan, key)}, and released.momentum=true hands an "
                f"optimiser from client to client, one after another; set federation.{key}=1"
            )
    if cfg.optim.keep_state:
        yield (
            "optim.keep_state: true keeps a client's own momentum, and released.momentum=true "
            "hands it on; set one of them to false"
        )
    if cfg.correction.name is not CorrectionName.none:
        yield (
            f"correction.name: {cfg.correction.name.value} trains clients that begin afresh, and "
            "released.momentum=true hands an optimiser on; set correction.name=none"
        )


def _of_references(cfg: Config, layout: Layout, is_mean: bool) -> Iterator[str]:
    """Yield what does not go together with a mean that is one client's upload."""
    if not layout.num_shared:
        yield (
            "released.references: true is about what clients share, and this method shares "
            "nothing; set released.references=false"
        )
    if not is_mean:
        yield (
            "released.references: true is about a mean of what clients send, and the server of "
            "this method makes more of it; set released.references=false"
        )
    for key, value, usual in (
        ("server.name", cfg.server.name, ServerRule.average),
        ("server.fair", cfg.server.fair, Fairness.none),
        ("privacy.name", cfg.privacy.name, Privacy.none),
    ):
        if value is not usual:
            yield (
                f"{key}: {value.value} weighs uploads, and released.references=true leaves one of "
                f"them alone; set {key}={usual.value}"
            )
    if cfg.server.rule is not None:
        yield (
            f"server.rule: {cfg.server.rule} goes on from a mean of uploads, and "
            "released.references=true leaves one of them alone; set server.rule=null"
        )
