"""What crosses the network: the mean is exact, whatever the order of the clients."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.world import World

CLIENTS = np.arange(1000)
NOTHING = torch.zeros(0, dtype=torch.int64)


def uploads() -> tuple[Tensor, Tensor]:
    """Return rows [1000, 5] of very different sizes, and ragged weights."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1000, 5)) * 10.0 ** rng.integers(-6, 4, (1000, 1))
    sizes = rng.integers(1, 200, 1000)
    return torch.from_numpy(rows).float(), torch.from_numpy(sizes / sizes.sum())


def uploaded(order: np.ndarray, parts: int) -> Average:
    """Return a server that took the uploads in this order, in so many cohorts."""
    exchange, (rows, weight) = Average(torch.zeros(5)), uploads()
    for part in np.array_split(order, parts):
        exchange.upload(part, rows[part], weight[part])
    return exchange


def test_mean_is_weighted() -> None:
    rows, weight = uploads()
    expected = (rows.double() * weight[:, None]).sum(dim=0)
    exchange = uploaded(CLIENTS, 1)
    exchange.sync(World.alone(), NOTHING, CLIENTS)
    mean = exchange.download(np.array([0]), training=True).shared[0]
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean.double(), expected, rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("parts", [1, 7, 1000])
def test_sum_has_the_same_bits_in_any_order_and_grouping(parts: int) -> None:
    order = np.random.default_rng(parts).permutation(CLIENTS)
    assert torch.equal(uploaded(order, parts).total, uploaded(CLIENTS, 1).total)


def test_clients_start_from_the_template() -> None:
    exchange = Average(torch.tensor([1.0, 2.0]))
    shared = exchange.download(np.array([4, 7]), training=True).shared
    assert shared.tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_uploads_are_handed_out_after_the_round_is_closed() -> None:
    exchange = Average(torch.zeros(1))
    exchange.upload(np.array([3]), torch.ones(1, 1), torch.ones(1, dtype=torch.float64))
    assert exchange.download(np.array([0]), training=True).shared.item() == 0
    exchange.sync(World.alone(), NOTHING, CLIENTS)
    assert exchange.download(np.array([0]), training=True).shared.item() == 1


def test_rounds_do_not_add_up() -> None:
    exchange = Average(torch.zeros(1))
    for value in (1.0, 5.0):
        exchange.upload(
            np.array([3]), torch.full((1, 1), value), torch.ones(1, dtype=torch.float64)
        )
        exchange.sync(World.alone(), NOTHING, CLIENTS)
    assert exchange.shared.tolist() == [5.0]


def test_riders_travel_in_the_one_collective() -> None:
    world, exchange = World.alone(), Average(torch.zeros(5))
    assert exchange.sync(world, torch.tensor([7, 8]), CLIENTS).tolist() == [7, 8]
    assert world.collectives == 1
    assert world.bytes_reduced == (5 + 2) * 8


def test_upload_takes_no_gradient_along() -> None:
    exchange = Average(torch.zeros(1))
    row = torch.ones(1, 1, requires_grad=True)
    exchange.upload(np.array([0]), row, torch.ones(1, dtype=torch.float64))
    assert not exchange.total.requires_grad


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -4e4])
def test_number_that_has_no_fixed_point_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite or not below 32768"):
        Average(torch.zeros(1)).upload(
            np.array([0]), torch.full((1, 1), value), torch.ones(1, dtype=torch.float64)
        )


def test_state_comes_back() -> None:
    exchange, other = Average(torch.tensor([1.5, 2.5])), Average(torch.zeros(2))
    state = exchange.state()
    other.load(state, np.arange(3))
    state["shared"].zero_()  # what was loaded is a copy
    assert other.shared.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"shared": torch.zeros(3)},
        {"shared": torch.zeros(2, dtype=torch.float16)},
        {"shared": torch.tensor([0.0, torch.inf])},
        {"shared": torch.zeros(2), "more": torch.zeros(1)},
    ],
    ids=["none", "shape", "dtype", "infinite", "more"],
)
def test_state_of_another_server_is_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="the server's"):
        Average(torch.zeros(2)).load(state, np.arange(3))


def test_cost_is_every_shared_number_once_each_way() -> None:
    assert Average(torch.zeros(5)).cost() == Cost(up=5, down=5)
