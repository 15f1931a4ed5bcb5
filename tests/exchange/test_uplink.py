"""Stages between local training and the mean: order, counts, memory, restart, and no stage."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import on_ranks, same_state, tiny_federation
from torch import Tensor

from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.exchange.uplink import Parcel, Stage
from pfedmma_dist.federation import stages
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.gda import GDA
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.tip_adapter import TipAdapter
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World


class Late(Stage):
    """Sends half of a move, keeps the rest for the next round, and counts clients."""

    num_counts = 1

    def __init__(self, num_shared: int) -> None:
        self.num_memory, self.seen = num_shared, torch.zeros(1, dtype=torch.int64)

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        half = (parcel.rows - parcel.start + parcel.memory) / 2
        sent = replace(parcel, rows=parcel.start + half, memory=half)
        return sent, torch.tensor([len(parcel.clients)])

    def close(self, mean: Tensor, counts: Tensor, before: Tensor, round_index: int) -> Tensor:
        assert int(counts) == 3
        self.seen = self.seen + counts
        return mean

    def state(self) -> dict[str, Tensor]:
        return {"late_seen": self.seen}

    def load(self, state: dict[str, Tensor]) -> None:
        super().load(state)
        self.seen = state["late_seen"]


class Doubled(Stage):
    """The server goes twice as far."""

    def close(self, mean: Tensor, counts: Tensor, before: Tensor, round_index: int) -> Tensor:
        return before + 2 * (mean - before)


def both(cfg: Config, layout: Layout, num_clients: int) -> dict[str, Stage]:
    return {"a.key": Late(layout.num_shared), "b.key": Doubled()}


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Federations made in this test send through both stages."""
    monkeypatch.setattr(
        stages,
        "named",
        lambda cfg, layout, count: {"a.key": Late(layout.num_shared), "b.key": Doubled()},
    )


def rounds(count: int, world: World | None = None, **keys: object) -> Federation:
    federation = tiny_federation(PFedMMA, world, fraction=0.5, **keys)
    for index in range(count):
        federation.round(index)
    return federation


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize("rule", [ServerRule.average, ServerRule.adam, ServerRule.median])
def test_two_ranks_and_a_restart_keep_all_bits(rule: ServerRule) -> None:
    server = ServerConfig(name=rule)
    whole, first, second = (rounds(count, server=server) for count in (3, 1, 0))
    second.load(*first.state(), 1)
    for index in (1, 2):
        second.round(index)
    same_state(second, whole)
    assert int(whole.uplink.stages[0].seen) == 9
    for two in on_ranks(2, lambda world: rounds(3, world, server=server)):
        same_state(two, whole)


def test_half_sent_twice_as_far_is_the_mean_and_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, begun = rounds(1), rounds(0).exchange.shared
    monkeypatch.setattr(stages, "named", both)
    ours = rounds(1)
    torch.testing.assert_close(ours.exchange.shared, plain.exchange.shared, rtol=0, atol=1e-6)
    chosen, width = ours.participants(0), ours.layout.num_shared
    kept = ours.clients.gather(np.arange(6))[:, -width:]
    weight = torch.from_numpy(ours.sizes[chosen] / ours.sizes[chosen].sum()).float()
    half = (plain.exchange.shared - begun) / 2
    torch.testing.assert_close(weight @ kept[torch.from_numpy(chosen)], half, rtol=0, atol=1e-6)
    assert (kept[np.setdiff1d(np.arange(6), chosen)] == 0).all()
    private = [f.clients.gather(chosen)[:, : f.layout.num_private] for f in (ours, plain)]
    assert torch.equal(*private)  # the first round's own parts know nothing of the uplink


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize(
    ("method", "told"), [(GDA, "send something else"), (TipAdapter, "shares nothing")]
)
def test_methods_without_a_mean_of_rows_are_refused_by_key(method: type, told: str) -> None:
    with pytest.raises(ValueError, match=f"^a.key: .*{told}"):
        tiny_federation(method)


@pytest.mark.usefixtures("staged")
def test_state_of_another_shape_is_refused() -> None:
    shards, server = rounds(1).state()
    with pytest.raises(ValueError, match="the server's state is"):
        rounds(0).load(shards, server | {"late_seen": torch.zeros(2, dtype=torch.int64)}, 1)
