"""Servers of low-rank factors: turns keep bits, products are exact however clients are dealt."""

import numpy as np
import pytest
import torch
from tiny import on_ranks, same_state, tiny_federation

from pfedmma_dist.config.choices import CorrectionName, ServerRule
from pfedmma_dist.config.learning import CorrectionConfig, ServerConfig
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.methods.lora_options import LoRAOptions, Train
from pfedmma_dist.methods.merging import Merge
from pfedmma_dist.world import World

OPTIONS = {
    "turns": {"train": Train.alternate},
    "residual": {"merge": Merge.residual},
    "product": {"merge": Merge.product},
}


def rounds(count: int, kind: str, world: World | None = None, **keys: object) -> Federation:
    options = LoRAOptions(blocks=1, rank=2, **OPTIONS[kind])
    federation = tiny_federation(LoRA, world, options, **{"fraction": 0.5, **keys})
    for index in range(count):
        federation.round(index)
    return federation


@pytest.mark.parametrize("kind", OPTIONS)
def test_two_ranks_and_a_restart_keep_all_bits(kind: str) -> None:
    whole, first, second = rounds(3, kind), rounds(1, kind), rounds(0, kind)
    shards, server = first.state()
    second.load(shards, server, 1)
    for index in (1, 2):
        second.round(index)
    same_state(second, whole)
    for two in on_ranks(2, lambda world: rounds(3, kind, world)):
        same_state(two, whole)


@pytest.mark.parametrize("kind", OPTIONS)
def test_state_of_another_form_is_refused(kind: str) -> None:
    shards, server = rounds(1, kind).state()
    name = "rounds" if kind == "turns" else "dense"
    with pytest.raises(ValueError, match="the server's state is"):
        rounds(0, kind).load(shards, server | {name: server[name][..., None]}, 1)


def test_half_that_rests_keeps_its_bits_in_training_and_at_the_server() -> None:
    federation, moved = rounds(0, "turns", fraction=1.0), []
    for index in range(3):
        before = federation.exchange.shared
        federation.round(index)
        views = [federation.layout.views(x[None]) for x in (before, federation.exchange.shared)]
        moved.append({n[0] for n, x in views[0].items() if not torch.equal(x, views[1][n])})
    assert moved == [{"B"}, {"A"}, {"B"}]
    cost = federation.exchange.cost()
    assert (2 * cost.up, cost.down) == (federation.layout.num_shared,) * 2


@pytest.mark.parametrize("merge", [Merge.residual, Merge.product])
def test_frozen_matrices_and_factors_together_are_the_mean_of_what_clients_had(
    merge: Merge,
) -> None:
    federation = rounds(1, merge.value)
    rng, exchange, layout = np.random.default_rng(3), federation.exchange, federation.layout
    for _ in range(2):
        clients, before = np.array([0, 2, 5]), exchange.dense
        rows = torch.from_numpy(rng.standard_normal((3, layout.num_shared)).astype(np.float32))
        weight = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
        exchange.upload(clients, rows, weight)
        exchange.sync(World.alone(), torch.zeros(0, dtype=torch.int64), clients)
        mean = sum(
            w * torch.cat([effective(layout, row, place) for place in places(federation)])
            for w, row in zip(weight, rows.double(), strict=True)
        )
        held = [effective(layout, exchange.shared.double(), place) for place in places(federation)]
        torch.testing.assert_close(
            exchange.dense + torch.cat(held), before + mean, rtol=0, atol=1e-12
        )


def places(federation: Federation) -> list[str]:
    return [name[2:] for name in federation.layout.views(federation.exchange.shared[None])][::2]


def effective(layout, row: torch.Tensor, place: str) -> torch.Tensor:
    params = layout.views(row[None])
    return 16.0 / 2 * (params[f"B.{place}"][0] @ params[f"A.{place}"][0]).flatten()


def test_stacked_factors_start_anew_in_every_round_and_scores_do_not_notice() -> None:
    federation = rounds(1, "product")
    views = federation.layout.views(federation.exchange.shared[None])
    assert all((x != 0).any() == name.startswith("A.") for name, x in views.items())
    first, scores = federation.exchange.shared, federation.evaluate(full=True).percent
    federation.exchange.shared = federation.exchange.restart(7)
    assert not torch.equal(first, federation.exchange.shared)
    again = federation.evaluate(full=True).percent
    assert all(np.array_equal(scores[name], again[name]) for name in scores)


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize(
    "server",
    [ServerConfig(name=ServerRule.momentum), ServerConfig(name=ServerRule.median)],
    ids=lambda server: server.name.value,
)
def test_server_that_remembers_or_takes_medians_is_refused(kind: str, server: ServerConfig) -> None:
    with pytest.raises(ValueError, match=r"^server\.name: low-rank factors that take turns"):
        rounds(0, kind, server=server)


@pytest.mark.parametrize("kind", OPTIONS)
def test_corrections_of_the_mean_are_refused(kind: str) -> None:
    correction = CorrectionConfig(name=CorrectionName.feddyn)
    with pytest.raises(ValueError, match=r"^correction\.name: feddyn is about the mean of all"):
        rounds(0, kind, correction=correction)


def test_products_out_of_range_are_refused() -> None:
    federation = rounds(0, "residual")
    rows = torch.full((1, federation.layout.num_shared), 3e4)
    with pytest.raises(ValueError, match=r"^method\.merge: the product of a client's"):
        federation.exchange.upload(np.zeros(1, np.int64), rows, torch.ones(1).double())
