"""Server rules equal a script of ten lines in float64, and remember what they need."""

import numpy as np
import pytest
import torch

from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import World

SIZE, ROUNDS = 7, 20
NAMES = ("average", "momentum", "adagrad", "adam", "yogi")
MEANS = np.random.default_rng(0).standard_normal((ROUNDS, SIZE)).astype(np.float32)
ONE, NOTHING = torch.ones(1, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)


def server(name: str, lr: float = 0.5, beta1: float | None = None) -> Server:
    return Server(name, lr, beta1, 0.9, 0.01, SIZE)


def slowly(name: str, lr: float, beta1: float) -> np.ndarray:
    x, m, v = np.zeros(SIZE), np.zeros(SIZE), np.full(SIZE, 0.01**2)
    for mean in MEANS.astype(np.float64):
        delta = mean - x
        if name in ("average", "momentum"):
            m = beta1 * m + delta
            x = x + lr * m
            continue
        m = beta1 * m + (1 - beta1) * delta
        v = {
            "adagrad": v + delta**2,
            "adam": 0.9 * v + 0.1 * delta**2,
            "yogi": v - 0.1 * delta**2 * np.sign(v - delta**2),
        }[name]
        x = x + lr * m / (np.sqrt(v) + 0.01)
    return x


def run(exchange: Average, rounds: range) -> None:
    for index in rounds:
        exchange.upload(np.zeros(1, np.int64), torch.from_numpy(MEANS[index : index + 1]), ONE)
        exchange.sync(World.alone(), NOTHING, np.zeros(1, np.int64))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lr", [0.5, 1.0])
def test_rule_equals_the_slow_script(name: str, lr: float) -> None:
    exchange = Average(torch.zeros(SIZE), server(name, lr))
    run(exchange, range(ROUNDS))
    beta1 = {"average": 0.0, "adagrad": 0.0}.get(name, 0.9)
    np.testing.assert_allclose(exchange.shared, slowly(name, lr, beta1), rtol=1e-6, atol=1e-6)


def test_beta_of_ones_own_is_used() -> None:
    exchange = Average(torch.zeros(SIZE), server("adagrad", beta1=0.7))
    run(exchange, range(ROUNDS))
    np.testing.assert_allclose(exchange.shared, slowly("adagrad", 0.5, 0.7), rtol=1e-6, atol=1e-6)


def test_mean_is_handed_out_to_the_bit() -> None:
    plain, other = Average(torch.zeros(SIZE)), Average(torch.ones(SIZE), server("average", 1.0))
    for exchange in (plain, other):
        run(exchange, range(1))
        assert torch.equal(exchange.shared, torch.from_numpy(MEANS[0]))
        assert exchange.state().keys() == {"shared"}


@pytest.mark.parametrize("name", NAMES)
def test_going_on_from_a_state_has_the_same_bits(name: str) -> None:
    whole, first, second = (Average(torch.zeros(SIZE), server(name)) for _ in range(3))
    run(whole, range(ROUNDS))
    run(first, range(8))
    second.load(first.state(), np.zeros(1, np.int64))
    run(second, range(8, ROUNDS))
    assert torch.equal(second.shared, whole.shared)


@pytest.mark.parametrize("name", NAMES)
def test_state_of_another_rule_is_refused(name: str) -> None:
    state = Average(torch.zeros(SIZE), server(name)).state()
    for other in NAMES:
        exchange = Average(torch.zeros(SIZE), server(other))
        if exchange.state().keys() != state.keys():
            with pytest.raises(ValueError, match="server"):
                exchange.load(state, np.zeros(1, np.int64))


def test_numbers_that_run_away_name_the_key() -> None:
    exchange = Average(torch.zeros(SIZE), server("momentum", 1e9))
    with pytest.raises(ValueError, match=r"^server\.lr: 1000000000\.0 .*; lower server\.lr$"):
        run(exchange, range(2))
