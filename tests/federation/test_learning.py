"""Optimisers, schedules and server rules keep the promises of a federation: the same bits at any
number of ranks, in any cohort, and after a stop."""

import numpy as np
import pytest
import torch
from tiny import SIZES, on_ranks, same_state, tiny_federation

from pfedmma_dist.config.choices import Optimiser, Schedule, ServerRule, Unit
from pfedmma_dist.config.learning import OptimConfig, ServerConfig
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.world import World

ADAM = OptimConfig(name=Optimiser.adam, lr=1e-3)
KEPT = OptimConfig(name=Optimiser.adam, lr=1e-3, keep_state=True)
CASES = {
    "adamw, cosine of steps": {
        "optim": OptimConfig(
            name=Optimiser.adamw, schedule=Schedule.cosine, unit=Unit.steps, warmup=1
        ),
    },
    "adam kept": {"optim": KEPT},
    "sgd kept": {"optim": OptimConfig(keep_state=True, schedule=Schedule.step, step_size=1)},
    "server momentum": {"server": ServerConfig(name=ServerRule.momentum, lr=0.5)},
    "server adam": {"server": ServerConfig(name=ServerRule.adam, lr=0.01)},
    "server yogi": {"server": ServerConfig(name=ServerRule.yogi, lr=0.01)},
    "server adagrad": {"server": ServerConfig(name=ServerRule.adagrad, lr=0.01)},
}
EVERYBODY = np.arange(len(SIZES))


def federation(case: str, world: World | None = None, **keys: object) -> Federation:
    return tiny_federation(PFedMMA, world, fraction=0.5, local_epochs=2, **CASES[case], **keys)


@pytest.mark.parametrize("case", CASES)
def test_same_bits_on_any_number_of_ranks(case: str) -> None:
    def work(world: World) -> Federation:
        made = federation(case, world)
        for index in range(3):
            made.round(index)
        return made

    alone = work(World.alone())
    for made in on_ranks(3, work):
        same_state(made, alone)


@pytest.mark.parametrize("case", CASES)
def test_same_bits_after_a_stop(case: str) -> None:
    whole, first, second = (federation(case) for _ in range(3))
    for index in range(3):
        whole.round(index)
    for index in range(2):
        first.round(index)
    second.load(*first.state(), 2)
    second.round(2)
    same_state(second, whole)


@pytest.mark.parametrize("case", ["adamw, cosine of steps", "adam kept"])
def test_cohort_of_one_equals_a_cohort_of_all(case: str) -> None:
    one, all_together = (
        federation(case, cohort_size=size, num_shards=1, first_round_all=True) for size in (1, 6)
    )
    for made in (one, all_together):
        made.round(0)
        made.round(1)
    rows = [made.clients.gather(EVERYBODY) for made in (one, all_together)]
    torch.testing.assert_close(*rows, rtol=0, atol=1e-4)  # adam divides small by small


def test_state_is_fresh_unless_it_is_kept() -> None:
    fresh, kept = (tiny_federation(PFedMMA, optim=optim) for optim in (ADAM, KEPT))
    losses = []
    for made in (fresh, kept):
        made.round(0)
        losses.append(made.round(1).loss)
    assert losses[0] != losses[1]
    width, own = fresh.layout.num_trained, fresh.layout.num_private
    assert fresh.clients.template.numel() == own
    assert kept.clients.template.numel() == own + 3 * width
    counts = kept.clients.gather(EVERYBODY)[:, -width:]
    assert torch.equal(counts, 2.0 * torch.from_numpy(kept.steps)[:, None].expand_as(counts))


def test_first_round_is_the_same_with_kept_state() -> None:
    fresh, kept = (tiny_federation(PFedMMA, optim=optim) for optim in (ADAM, KEPT))
    assert fresh.round(0).loss == kept.round(0).loss
    assert torch.equal(fresh.exchange.shared, kept.exchange.shared)


def test_experts_go_along_with_a_server_rule() -> None:
    rule = ServerConfig(name=ServerRule.momentum, lr=0.5)
    plain, made = tiny_federation(PFedMoAP), tiny_federation(PFedMoAP, server=rule)
    start = plain.exchange.shared
    for each in (plain, made):
        each.round(0)
    moved = made.exchange.shared - start
    torch.testing.assert_close(moved, 0.5 * (plain.exchange.shared - start))
    assert [u.row.tolist() for u in made.exchange.last.values()] == [
        u.row.tolist() for u in plain.exchange.last.values()
    ]
    again = tiny_federation(PFedMoAP, server=rule)
    again.load(*made.state(), 1)
    for each in (made, again):
        each.round(1)
    same_state(made, again)
