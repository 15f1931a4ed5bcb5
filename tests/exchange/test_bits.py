"""Few bits, few numbers: levels without bias, bits that are counted, and what is left out."""

import numpy as np
import pytest
import torch
from tiny import on_ranks, same_state, tiny_federation

from pfedmma_dist.config.exchanging import ExchangeConfig
from pfedmma_dist.exchange import Cost
from pfedmma_dist.exchange.bits import Coarse
from pfedmma_dist.exchange.uplink import Parcel
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.rng import generator
from pfedmma_dist.world import World


def parcel(rows: np.ndarray, memory: np.ndarray | None = None, round_index: int = 0) -> Parcel:
    """Return what clients 4, 5 ... send, of moves from 1."""
    count, size = rows.shape
    kept = np.zeros((count, size)) if memory is None else memory
    start, weight = torch.ones(count, size), torch.full((count,), 1 / count).double()
    moved = start + torch.from_numpy(rows).float()
    clients = np.arange(4, 4 + count)
    kept = torch.from_numpy(kept).float()
    return Parcel(clients, round_index, start, moved, weight, kept, torch.ones(count))


@pytest.mark.parametrize("bits", [4, 8, 16, 32])
@pytest.mark.parametrize("top", [1.0, 0.3])
def test_what_is_sent_and_left_equals_a_script(bits: int, top: float) -> None:
    rng = np.random.default_rng(bits)
    moves, memory = rng.standard_normal((2, 3, 40)) * 0.1
    sent, counts = Coarse(40, bits, top, True, 7).send(parcel(moves, memory, 5))
    assert len(counts) == 0
    for index, client in enumerate((4, 5, 6)):
        row = np.float32(1) + np.float32(moves[index])
        v = row.astype(np.float64) - 1 + np.float32(memory[index]).astype(np.float64)
        kept = np.zeros(40)
        largest = np.argsort(-np.abs(v), kind="stable")[: int(np.ceil(top * 40))]
        kept[largest] = v[largest]
        if bits < 32:
            high = 2 ** (bits - 1) - 1
            step = np.float64(np.float32(np.abs(kept).max() / high))
            u = generator(7, "rounding", 5, client).random(40)
            kept = np.clip(np.floor(kept / step + u), -high, high) * step
        np.testing.assert_allclose(sent.rows[index] - 1, kept, rtol=0, atol=2e-7)
        np.testing.assert_allclose(sent.memory[index], v - kept, rtol=0, atol=2e-7)
        assert len(np.unique(kept)) <= 2**bits - 1
        assert np.count_nonzero(kept) <= len(largest)


def test_rounding_has_no_bias() -> None:
    stage, move = Coarse(8, 4, 1.0, False, 1), np.linspace(-0.3, 0.31, 8)[None]
    total, square = np.zeros(8), np.zeros(8)
    for index in range(4000):
        sent = (stage.send(parcel(move, np.zeros((1, 0)), index))[0].rows[0] - 1).double().numpy()
        total, square = total + sent, square + sent**2
    mean = total / 4000
    error = np.sqrt((square / 4000 - mean**2).clip(1e-16) / 4000)
    assert (np.abs(mean - move[0]) < 4.5 * error + 1e-7).all()
    assert (error > 1e-5).sum() >= 5  # it does round


def test_client_that_did_not_move_sends_nothing_but_zeros() -> None:
    sent, _ = Coarse(5, 8, 1.0, True, 1).send(parcel(np.zeros((1, 5))))
    assert (sent.rows == 1).all() and (sent.memory == 0).all()


@pytest.mark.parametrize(
    ("bits", "top", "numbers", "bytes_up"),
    [
        (32, 1.0, 3072, 12_288),
        (8, 1.0, 3072, 3_076),  # and the step of the levels
        (4, 1.0, 3072, 1_540),
        (32, 0.1, 308, 1_694),  # 308 x (32 + 12 bits)
        (8, 0.1, 308, 774),
    ],
)
def test_ledger_counts_the_bits_that_are_sent(
    bits: int, top: float, numbers: int, bytes_up: int
) -> None:
    stage = Coarse(3072, bits, top, True, 1)
    cost = stage.cost(Cost(up=3072, down=3072))
    assert (cost.up, cost.bytes_up, cost.down, cost.bytes_down) == (numbers, bytes_up, 3072, 12_288)
    more = cost.beside(100)
    assert (more.up, more.bytes_up, more.bytes_down) == (numbers + 100, bytes_up + 400, 12_688)


def rounds(count: int, world: World | None = None, **keys: object) -> Federation:
    exchange = ExchangeConfig(bits=4, top=0.5, **keys.pop("exchange", {}))
    federation = tiny_federation(
        PFedMMA, world, fraction=0.5, sections={"exchange": exchange}, **keys
    )
    for index in range(count):
        federation.round(index)
    return federation


def test_ranks_cohorts_and_a_restart_keep_all_bits() -> None:
    whole, first, second = (rounds(count) for count in (3, 1, 0))
    second.load(*first.state(), 1)
    for index in (1, 2):
        second.round(index)
    same_state(second, whole)
    size = whole.layout.num_shared
    assert whole.clients.gather(whole.participants(2))[:, -size:].count_nonzero() > size
    for two in on_ranks(2, lambda world: rounds(3, world)):
        same_state(two, whole)
    alone = rounds(1, cohort_size=1).exchange.shared
    torch.testing.assert_close(alone, first.exchange.shared, rtol=0, atol=1e-3)
    assert whole.cost().bytes_up == 4 + size // 2 * (4 + 12) // 8 == 3076
    assert rounds(0, exchange={"feedback": False}).uplink.num_memory == 0


def test_feedback_brings_the_sum_of_coarse_moves_to_that_of_whole_ones() -> None:
    rng, moved = np.random.default_rng(0), {True: np.zeros(64), False: np.zeros(64)}
    moves = rng.standard_normal((40, 64)) * 0.01 + 0.002
    for feedback, total in moved.items():
        stage, memory = Coarse(64, 4, 0.1, feedback, 3), np.zeros((1, 64 * feedback))
        for index, move in enumerate(moves):
            sent, _ = stage.send(parcel(move[None], memory, index))
            total += (sent.rows[0] - 1).double().numpy()
            memory = sent.memory.numpy()
    whole = moves.sum(axis=0)
    with_it, without = (np.linalg.norm(moved[how] - whole) for how in (True, False))
    assert with_it < 0.7 * without


def test_feedback_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"exchange.feedback: false.*set exchange.bits"):
        tiny_federation(PFedMMA, sections={"exchange": ExchangeConfig(feedback=False)})
