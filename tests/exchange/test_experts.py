"""The pool of experts: who is handed whose uploads when, in one collective, each kept once."""

import numpy as np
import pytest
import torch
from tiny import on_ranks

from pfedmma_dist.exchange import Cost
from pfedmma_dist.exchange.experts import Choice, ExpertPool
from pfedmma_dist.world import World

NOTHING = torch.zeros(0, dtype=torch.int64)
SPOTS = {0: 0.0, 1: 1.0, 2: 3.0, 3: 10.0}
"""A number for each of four clients: it is all they send."""


def new(choice: str = "nearest", num_experts: int = 2, seed: int = 1) -> ExpertPool:
    return ExpertPool(torch.tensor([7.0]), num_experts, Choice[choice], seed)


def play(pool: ExpertPool, spots: dict[int, float], world: World | None = None) -> None:
    """Let the clients of `spots` that fall to this rank train and send their number."""
    world = world or World.alone()
    everybody = np.array(sorted(spots))
    for client in everybody[everybody % world.size == world.rank]:
        own = np.array([client])
        pool.download(own, training=True)
        weight = torch.full((1,), 1 / len(spots), dtype=torch.float64)
        pool.upload(own, torch.full((1, 1), spots[int(client)]), weight)
    pool.sync(world, NOTHING, everybody)


def handed(pool: ExpertPool, client: int, *, training: bool = True) -> tuple[float, list[float]]:
    """Return the number a client starts from, and those of its experts."""
    download = pool.download(np.array([client]), training=training)
    (experts,) = download.extra
    return download.shared.item(), [upload.row.item() for upload in experts]


def test_client_trains_first_from_the_mean_alone() -> None:
    pool = new()
    assert handed(pool, 3) == (7.0, [])
    play(pool, {0: 0.0, 1: 1.0})
    assert handed(pool, 3) == (0.5, [])


def test_client_that_has_trained_gets_the_mean_and_its_nearest_others() -> None:
    pool = new()
    play(pool, SPOTS)
    assert [handed(pool, client) for client in range(4)] == [
        (3.5, [1.0, 3.0]),
        (3.5, [0.0, 3.0]),
        (3.5, [1.0, 0.0]),
        (3.5, [3.0, 1.0]),
    ]


def test_others_at_one_distance_come_by_number() -> None:
    pool = new(num_experts=3)
    play(pool, {5: 2.0, 1: 3.0, 4: 1.0, 2: 2.0})
    assert handed(pool, 5)[1] == [2.0, 3.0, 1.0]  # of 2, which is as near as can be, then 1, 4


def test_there_are_no_more_experts_than_others() -> None:
    pool = new(num_experts=9)
    play(pool, {0: 0.0, 1: 1.0})
    assert handed(pool, 0)[1] == [1.0]
    alone = new()
    play(alone, {0: 0.0})
    assert handed(alone, 0) == (0.0, [])


def test_random_others_come_in_an_order_that_is_drawn_once_for_each_client() -> None:
    spots = {client: float(client) for client in range(20)}
    pool, other = new("random", 19), new("random", 19, seed=2)
    for one in (pool, other):
        play(one, spots)
    orders = [handed(pool, client)[1] for client in spots]
    assert [sorted([own, *order]) for own, order in enumerate(orders)] == [list(spots)] * 20
    assert len({tuple(order[:5]) for order in orders}) == 20
    assert handed(other, 0)[1] != orders[0]
    play(pool, {client: -2.0 * client for client in spots})
    assert [handed(pool, client)[1] for client in spots] == [[-2 * x for x in o] for o in orders]


def test_random_order_of_those_that_have_trained_is_kept_as_others_join() -> None:
    few, all_of_them = new("random", 19), new("random", 19)
    play(few, {client: float(client) for client in range(0, 20, 2)})
    play(all_of_them, {client: float(client) for client in range(20)})
    order = [other for other in handed(all_of_them, 4)[1] if other % 2 == 0]
    assert handed(few, 4)[1] == order


def test_upload_is_seen_by_nobody_before_the_round_is_closed() -> None:
    pool = new()
    play(pool, SPOTS)
    before = [handed(pool, client) for client in SPOTS]
    pool.upload(np.array([1]), torch.tensor([[100.0]]), torch.ones(1, dtype=torch.float64))
    assert [handed(pool, client) for client in SPOTS] == before


def test_client_is_scored_with_what_its_training_left_it() -> None:
    pool = new()
    play(pool, SPOTS)
    assert handed(pool, 0, training=False) == (0.0, [])  # it has had no experts so far
    play(pool, {0: 4.0, 1: 5.0})
    assert handed(pool, 0, training=False) == (4.0, [1.0, 3.0])  # of the round before
    play(pool, {1: 50.0, 2: 60.0})
    assert handed(pool, 0, training=False) == (4.0, [1.0, 3.0])  # it sat out
    assert handed(pool, 1, training=False) == (50.0, [4.0, 3.0])
    assert handed(pool, 8, training=False) == (55.0, [])  # it never trained: the mean


def test_cohort_is_handed_what_its_clients_are_handed() -> None:
    pool = new()
    play(pool, SPOTS)
    play(pool, {0: 4.0, 2: 5.0})
    for training in (True, False):
        together = pool.download(np.array([3, 9, 0]), training=training)
        rows = [own.item() for own in together.shared]
        experts = [[upload.row.item() for upload in own] for own in together.extra]
        single = [handed(pool, client, training=training) for client in (3, 9, 0)]
        assert list(zip(rows, experts, strict=True)) == single


def test_round_is_one_collective_of_sums_uploads_and_numbers() -> None:
    world, pool = World.alone(), ExpertPool(torch.zeros(5), 2, Choice.nearest, 1)
    three = np.arange(3)
    pool.download(three, training=True)
    pool.upload(three, torch.ones(3, 5), torch.full((3,), 1 / 3, dtype=torch.float64))
    assert pool.sync(world, torch.tensor([7, 8]), three).tolist() == [7, 8]
    assert world.collectives == 1
    assert world.bytes_reduced == 8 * (5 + 3 * (3 + 2) + 2)  # 5 float32 are 3 int64 with a hole


def test_every_rank_gets_every_bit_of_an_upload() -> None:
    odd = {0: -0.0, 1: 1e-45, 2: 3.0e4, 3: -1.1754944e-38, 4: 0.1}
    alone = new()
    play(alone, odd)

    def work(world: World) -> ExpertPool:
        pool = new()
        play(pool, odd, world)
        return pool

    for pool in on_ranks(3, work):
        sent = torch.tensor(list(odd.values())).view(torch.int32)
        assert torch.equal(pool.state()["uploads"][:, 0].view(torch.int32), sent)
        assert torch.equal(pool.shared, alone.shared)


def test_upload_is_kept_once_and_as_long_as_a_client_needs_it() -> None:
    pool = new(num_experts=3)
    play(pool, SPOTS)
    assert pool.state()["uploads"].flatten().tolist() == [0, 1, 3, 10]
    for value in (20, 40, 60):  # the four of the round, and those they were handed
        play(pool, {client: spot + value for client, spot in SPOTS.items()})
        assert len(pool.state()["uploads"]) == 8
    play(pool, {0: 80.0})
    play(pool, {0: 90.0})  # the others have still their last and the four of the round before
    held = sorted(pool.state()["uploads"].flatten().tolist())
    assert held == [40, 41, 43, 50, 61, 63, 70, 90]


def test_upload_does_not_hold_the_rows_of_its_round() -> None:
    pool = new()
    play(pool, SPOTS)
    assert pool.last[2].row.untyped_storage().nbytes() == 4


@pytest.mark.parametrize("choice", Choice.__members__)
def test_state_comes_back(choice: str) -> None:
    pool, other = new(choice), new(choice)
    trained = np.empty(0, np.int64)
    for rounds in ({}, SPOTS, {0: 4.0, 2: 5.0}, {5: 1.0}):
        trained = np.union1d(trained, list(rounds)).astype(np.int64)
        if rounds:
            play(pool, rounds)
        state = pool.state()
        other.load({name: value.clone() for name, value in state.items()}, trained)
        again = other.state()
        assert all(torch.equal(again[name], state[name]) for name in state)
        for client in (0, 1, 2, 3, 5, 6):
            for training in (True, False):
                expected = handed(pool, client, training=training)
                assert handed(other, client, training=training) == expected
    state["uploads"].zero_()
    other.load(state, trained)
    state["uploads"].fill_(9.0)  # what was loaded is a copy
    assert handed(other, 0, training=False)[0] == 0.0


@pytest.mark.parametrize(
    ("part", "spoil"),
    [
        ("clients", lambda clients: clients + 1),
        ("held", lambda held: held + 40),
        ("held", lambda held: held * 0 - 1),
        ("uploads", lambda uploads: uploads.half()),
    ],
    ids=["other clients", "place beyond", "nothing held", "dtype"],
)
def test_state_of_another_pool_is_refused(part: str, spoil) -> None:
    pool = new()
    play(pool, SPOTS)
    state = pool.state()
    with pytest.raises(ValueError, match="the pool|the server's state"):
        new().load({**state, part: spoil(state[part])}, np.array(sorted(SPOTS)))


def test_upload_takes_no_gradient_along_and_is_a_copy() -> None:
    pool, row = new(), torch.ones(1, 1, requires_grad=True)
    pool.download(np.array([0]), training=True)
    pool.upload(np.array([0]), row, torch.ones(1, dtype=torch.float64))
    row.detach().fill_(5.0)
    pool.sync(World.alone(), NOTHING, np.array([0]))
    assert not pool.last[0].row.requires_grad
    assert pool.last[0].row.item() == 1.0


def test_cost_counts_the_mean_apart_from_the_experts() -> None:
    pool = ExpertPool(torch.zeros(5), 9, Choice.nearest, 1)
    assert pool.cost() == Cost(up=5, down=45, start=5)
