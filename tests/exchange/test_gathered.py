"""Uploads in the open: every rank sees each of them to the bit, and may take another centre."""

import numpy as np
import pytest
import torch
from tiny import on_ranks, tiny_federation
from torch import Tensor

from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.exchange.gathered import Gathered, Opened
from pfedmma_dist.exchange.robust import CENTRES, Opening, geometric_median, median
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.world import World, to_fixed

COUNTS = np.array([1, 4, 2, 2, 3, 5, 1])
ROWS = torch.from_numpy(np.random.default_rng(3).standard_normal((7, 5))).float()
NOTHING = torch.zeros(0, dtype=torch.int64)


def weights(counts: np.ndarray) -> Tensor:
    return torch.from_numpy(counts / counts.sum())


class Listening(Gathered):
    """An exchange that keeps what it was shown."""

    def combine(self, mean: Tensor, opened: Opened) -> Tensor:
        self.seen = opened
        return super().combine(mean, opened)


def played(world: World, server: Server | None) -> Listening:
    exchange, everybody, weight = Listening(torch.zeros(5), server), np.arange(7), weights(COUNTS)
    for client in everybody[everybody % world.size == world.rank]:
        own = slice(client, client + 1)
        exchange.upload(everybody[own], ROWS[own], weight[own])
    assert exchange.sync(world, torch.tensor([1]), everybody).tolist() == [world.size]
    assert world.collectives == 1
    return exchange


@pytest.mark.parametrize("name", ["average", *CENTRES])
def test_every_rank_sees_every_upload_and_comes_to_the_same_bits(name: str) -> None:
    def work(world: World) -> Listening:
        return played(world, Server(name, 1.0, None, 0.0, 0.0, 5))

    (alone,) = on_ranks(1, work)
    for found in [alone, *on_ranks(3, work)]:
        assert torch.equal(found.seen.rows, ROWS)
        assert found.seen.clients == list(range(7))
        asked = to_fixed(weights(COUNTS)).tolist() if name != "average" else []
        assert found.seen.weight.tolist() == asked
        assert torch.equal(found.shared, alone.shared)


def test_average_of_uploads_in_the_open_is_the_mean() -> None:
    exchange = played(World.alone(), None)
    expected = np.average(ROWS.double().numpy(), axis=0, weights=COUNTS)
    np.testing.assert_allclose(exchange.shared.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_median_counts_every_sample(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, size=rng.integers(1, 9))
    rows = rng.integers(0, 4, (len(counts), 11)).astype(np.float32)  # with ties
    expected = np.median(np.repeat(rows.astype(np.float64), counts, axis=0), axis=0)
    found = median(torch.from_numpy(rows), to_fixed(weights(counts)))
    np.testing.assert_array_equal(found.numpy(), expected)


def test_median_is_the_same_however_coordinates_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = to_fixed(weights(COUNTS))
    whole = median(ROWS, weight)
    monkeypatch.setattr("pfedmma_dist.exchange.robust.SORTED", 14)
    assert torch.equal(median(ROWS, weight), whole)


def test_geometric_median_has_the_least_weighted_distance() -> None:
    rows, weight = ROWS.double().numpy(), COUNTS / COUNTS.sum()
    found = geometric_median(ROWS, to_fixed(weights(COUNTS))).numpy()

    def distance(point: np.ndarray) -> float:
        return float(weight @ np.linalg.norm(rows - point, axis=1))

    away = (found - rows) / np.linalg.norm(found - rows, axis=1)[:, None]
    assert np.linalg.norm(weight @ away) < 1e-6  # the gradient
    for step in 0.01 * np.random.default_rng(0).standard_normal((20, 5)):
        assert distance(found) < distance(found + step)


@pytest.mark.parametrize("centre", [median, geometric_median])
def test_one_upload_from_far_away_moves_a_median_little(centre) -> None:
    even = to_fixed(weights(np.ones(7)))
    spoilt = ROWS.clone()
    spoilt[0] = 3e4
    assert (centre(spoilt, even) - centre(ROWS, even)).norm() < 2
    assert (spoilt.mean(dim=0) - ROWS.mean(dim=0)).norm() > 4000


def test_server_may_step_to_the_median_by_a_part() -> None:
    start, mean = torch.ones(5), torch.full((5,), 9.0, dtype=torch.float64)
    server = Server("median", 0.5, 0.9, 0.0, 0.0, 5)
    centre = server.centre(mean, Opening(ROWS, to_fixed(weights(COUNTS)), start)).point
    torch.testing.assert_close(server.step(start, centre), (1 + centre) / 2)
    assert server.state() == {}


@pytest.mark.parametrize("method", [PromptFL, PFedMoAP])
def test_federation_hands_out_the_median_where_the_server_is_told_to(method: type) -> None:
    federation = tiny_federation(method, server=ServerConfig(name=ServerRule.median))
    rows: dict[int, Tensor] = {}
    upload = federation.exchange.upload

    def listen(clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        rows.update(zip(clients.tolist(), shared.double(), strict=True))
        upload(clients, shared, weight)

    federation.exchange.upload = listen
    federation.round(0)
    sent = torch.stack([rows[client] for client in sorted(rows)]).numpy()
    expected = np.median(np.repeat(sent, federation.sizes, axis=0), axis=0)
    np.testing.assert_allclose(federation.exchange.shared.numpy(), expected, rtol=1e-7)
