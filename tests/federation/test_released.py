"""Switches for what released code does wrong: refused where they mean nothing, kept by checkpoints,
and by their names alone."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from tiny import same_state, tiny_federation

from pfedmma_dist.config.choices import CorrectionName, Fleet, Sampling, Schedule, ServerRule, Unit
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig, ServerConfig
from pfedmma_dist.config.released import ReleasedConfig
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.federation.cohort import visitors
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.zero_shot import ZeroShot

ALONE = {"num_shards": 1, "cohort_size": 1}
OPTIONS = PFedMMAOptions(blocks=1, rank=2, alpha=0.5)
COSINE = OptimConfig(lr=0.05, schedule=Schedule.cosine, unit=Unit.epochs)


def federation_of(switch: str, value: Any = True, kind: type = PFedMMA, **changes) -> Federation:
    sections = {"released": ReleasedConfig(**{switch: value}), **changes.pop("sections", {})}
    options = OPTIONS if kind is PFedMMA else None
    return tiny_federation(kind, options=options, sections=sections, rounds=3, **changes)


MISFITS: dict[str, tuple[str, dict[str, Any], str]] = {
    "shards": ("momentum", {}, "federation.num_shards: 3, and released.momentum=true hands an opt"),
    "cohorts": ("momentum", {"num_shards": 1}, "set federation.cohort_size=1"),
    "two states": (
        "momentum", {**ALONE, "optim": OptimConfig(keep_state=True)}, "optim.keep_state: true",
    ),
    "correction": (
        "momentum", {**ALONE, "correction": CorrectionConfig(name=CorrectionName.ditto)},
        "correction.name: ditto trains clients that begin afresh",
    ),
    "no wave": ("wave", {}, "set optim.schedule=cosine optim.unit=epochs"),
    "clock": (
        "wave", {"optim": COSINE, "sections": {"system": SystemConfig(fleet=Fleet.even)}},
        "system.fleet=even lets a clock say who trains",
    ),
    "counts": ("references", {"kind": METHODS["class_means"]}, "class_means takes none"),
    "pool": ("references", {"kind": PFedMoAP}, "the server of this method makes more of it"),
    "server": (
        "references", {"server": ServerConfig(name=ServerRule.median)},
        "server.name: median weighs uploads",
    ),
    "handed": ("stale_text", {"kind": PFedMoAP}, "handed more than a mean"),
    "untrained": ("stale_text", {"kind": ZeroShot}, "zero_shot trains nothing"),
    "nobody": ("stale_text", {"sampling": Sampling.poisson}, "set federation.sampling=fixed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISFITS)
def test_switch_without_a_meaning_is_refused(kind: str) -> None:
    switch, changes, told = MISFITS[kind]
    with pytest.raises(ValueError, match=re.escape(told)):
        federation_of(switch, **changes)


def test_client_that_nobody_is_cannot_be_dropped() -> None:
    with pytest.raises(ValueError, match="released.dropped: there is no client 6 among 6"):
        federation_of("dropped", 6)


def test_dropped_client_neither_trains_nor_is_scored() -> None:
    federation = federation_of("dropped", 2)
    for index in range(2):
        federation.round(index)
    assert 2 not in federation.trained(2) and len(federation.trained(2)) == 5
    for percent in federation.evaluate(full=True).percent.values():
        assert np.flatnonzero(np.isnan(percent)).tolist() == [2]


def test_round_whose_only_client_is_dropped_changes_nothing() -> None:
    federation = federation_of("dropped", 2, kind=PromptFL, fraction=0.1)
    drawn = [federation.among[visitors(federation.cfg.federation, 1, n, 6)] for n in range(9)]
    index = next(n for n, clients in enumerate(drawn) if clients.tolist() == [2])
    before = federation.exchange.shared
    assert federation.round(index).num_participants == 0
    assert torch.equal(federation.exchange.shared, before)


@pytest.mark.parametrize(
    ("switch", "changes"),
    [
        ("momentum", {**ALONE, "fraction": 0.5}),
        ("wave", {"fraction": 0.5, "optim": COSINE}),
        ("stale_text", {}),
        ("references", {"kind": PromptFL}),
    ],
)
def test_switch_changes_a_run_and_a_checkpoint_goes_on_with_it(switch: str, changes: dict) -> None:
    whole, half, plain = (federation_of(switch, on, **dict(changes)) for on in (True, True, False))
    for index in range(3):
        whole.round(index)
        plain.round(index)
        if index == 1:
            for shard, state in whole.state()[0].items():
                half.clients.load(shard, dict(state), np.sort(state.ids))
            shards, server = whole.state()
            half.load({s: dict(own) for s, own in shards.items()}, dict(server), 2)
    half.round(2)
    same_state(whole, half)
    ours, theirs = (one.evaluate(full=True).percent for one in (whole, half))
    assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)
    if switch == "stale_text":
        name = "stale_text"
        assert name in whole.state()[1] and name not in plain.state()[1]
        assert torch.equal(whole.exchange.shared, plain.exchange.shared)
    else:
        assert not torch.equal(whole.exchange.shared, plain.exchange.shared)
