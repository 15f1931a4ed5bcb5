"""Who trains, in which group, on which images."""

import numpy as np
import pytest
from tiny import batches

from pfedmma_dist.config.keys import FederationConfig
from pfedmma_dist.federation.cohort import (
    Batch,
    assign_shards,
    cut_cohorts,
    steps_per_epoch,
    visitors,
)

OWN = [np.arange(100, 110), np.arange(200, 203), np.arange(300, 308)]
CLIENTS = np.array([4, 7, 9])


def plan(
    clients: int = 3, num_views: int = 1, seed: int = 1, round_index: int = 0, **federation: object
) -> list[Batch]:
    """Return the steps of the first clients, in batches of 4."""
    cfg = FederationConfig(batch_size=4, **federation)
    return list(batches(OWN[:clients], CLIENTS[:clients], cfg, seed, round_index, num_views))


def seen(steps: list[Batch], g: int) -> list[int]:
    """Return the rows that one client trains on, in their order."""
    return [int(row) for b in steps if b.active[g] for row in b.rows[g][b.weight[g] > 0]]


@pytest.mark.parametrize(
    ("fraction", "num_clients", "count"), [(1.0, 7, 7), (0.25, 30, 7), (0.1, 5, 1), (0.5, 9, 4)]
)
def test_count_of_participants_is_rounded_down_to_one_or_more(
    fraction: float, num_clients: int, count: int
) -> None:
    cfg = FederationConfig(fraction=fraction)
    assert len(visitors(cfg, 1, 3, num_clients)) == count


def test_participants_differ() -> None:
    chosen = np.sort(visitors(FederationConfig(fraction=0.5), 1, 0, 40))
    assert (np.diff(chosen) > 0).all()
    assert 0 <= chosen[0] <= chosen[-1] < 40


def test_participants_are_a_function_of_seed_and_round() -> None:
    cfg = FederationConfig(fraction=0.5)
    first = visitors(cfg, 1, 0, 40).tolist()
    assert visitors(cfg, 1, 0, 40).tolist() == first
    assert visitors(cfg, 1, 1, 40).tolist() != first
    assert visitors(cfg, 2, 0, 40).tolist() != first


def test_every_client_comes_up() -> None:
    cfg = FederationConfig(fraction=0.2)
    assert set(np.concatenate([visitors(cfg, 1, r, 10) for r in range(40)])) == set(range(10))


def test_all_train_in_the_first_round_where_asked() -> None:
    cfg = FederationConfig(fraction=0.1, first_round_all=True)
    assert visitors(cfg, 1, 0, 20).tolist() == list(range(20))
    assert len(visitors(cfg, 1, 1, 20)) == 2


@pytest.mark.parametrize(
    ("drop_last", "expected"), [(True, [1, 1, 1, 2]), (False, [1, 1, 2, 2])], ids=["drop", "keep"]
)
def test_incomplete_batch_is_left_out_where_a_client_fills_one(
    drop_last: bool, expected: list[int]
) -> None:
    cfg = FederationConfig(batch_size=4, drop_last=drop_last)
    assert steps_per_epoch(np.array([3, 4, 7, 8]), cfg).tolist() == expected


def one_by_one(steps: np.ndarray, num_shards: int) -> list[list[int]]:
    """Deal the longest client that is left to the emptiest shard, until none is left."""
    load, members = [0] * num_shards, [[] for _ in range(num_shards)]
    for client in sorted(range(len(steps)), key=lambda client: -steps[client]):
        shard = min(range(num_shards), key=load.__getitem__)
        load[shard] += steps[client]
        members[shard].append(client)
    return list(map(sorted, members))


def test_shards_are_dealt_at_once_as_one_by_one() -> None:
    draw = np.random.default_rng(0)
    for _ in range(200):
        steps = draw.integers(0, draw.integers(1, 9), draw.integers(1, 50)) * 3
        num_shards = int(draw.integers(1, 9))
        dealt = [own.tolist() for own in assign_shards(steps, num_shards)]
        assert dealt == one_by_one(steps, num_shards)


def test_shards_share_the_steps_evenly() -> None:
    steps = np.random.default_rng(0).integers(1, 20, 100)
    shards = assign_shards(steps, 8)
    loads = [steps[clients].sum() for clients in shards]
    assert max(loads) - min(loads) <= steps.max()
    assert np.sort(np.concatenate(shards)).tolist() == list(range(100))


def test_longest_client_gets_a_shard_of_its_own() -> None:
    shards = assign_shards(np.array([1, 1, 9, 1, 1]), 2)
    assert [clients.tolist() for clients in shards] == [[2], [0, 1, 3, 4]]


def test_shards_may_outnumber_clients() -> None:
    shards = assign_shards(np.array([2, 1]), 3)
    assert [clients.tolist() for clients in shards] == [[0], [1], []]


def test_cohorts_hold_the_longest_first_and_ties_by_number() -> None:
    steps = np.array([1, 5, 3, 5, 3, 2])
    cohorts = cut_cohorts(7, np.array([0, 1, 2, 3, 4]), steps, 2)
    assert [cohort.clients.tolist() for cohort in cohorts] == [[1, 3], [2, 4], [0]]
    assert {cohort.shard for cohort in cohorts} == {7}


def test_cohorts_of_nobody_are_none() -> None:
    assert cut_cohorts(0, np.zeros(0, np.int64), np.array([1]), 2) == []


def test_every_image_comes_once_an_epoch() -> None:
    steps = plan(drop_last=False, local_epochs=2)
    for g, rows in enumerate(OWN):
        order = seen(steps, g)
        assert sorted(order[: len(rows)]) == sorted(order[len(rows) :]) == rows.tolist()
        assert order[: len(rows)] != order[len(rows) :]


def test_full_batches_alone_are_kept_by_drop_last() -> None:
    steps = plan()
    assert [len(seen(steps, g)) for g in range(3)] == [8, 3, 8]  # of 10, 3 and 8
    assert [b.weight.sum(axis=1).tolist() for b in steps] == [[4, 3, 4], [4, 3, 4]]


def test_batches_are_as_wide_as_the_widest_needs() -> None:
    assert plan(clients=2)[0].rows.shape == (2, 4)
    alone = list(batches([OWN[1]], CLIENTS[1:2], FederationConfig(batch_size=4), 1, 0, 1))
    assert alone[0].rows.shape == (1, 3)


def test_padding_has_no_weight_and_shows_images_of_the_client() -> None:
    for batch in plan(drop_last=False):
        assert set(batch.weight.flatten().tolist()) <= {0.0, 1.0}
        assert batch.weight.dtype == np.float32
        for g, rows in enumerate(OWN):
            assert np.isin(batch.rows[g], rows).all()


def test_client_without_further_steps_is_inactive() -> None:
    steps = plan(drop_last=False)
    assert [b.active.tolist() for b in steps] == [
        [True, True, True],
        [True, False, True],
        [True, False, False],
    ]


def test_batches_of_a_client_do_not_depend_on_its_cohort() -> None:
    together, alone = plan(num_views=5), plan(clients=1, num_views=5)
    for a, b in zip(together, alone, strict=True):
        assert a.rows[0].tolist() == b.rows[0].tolist()
        assert a.views[0].tolist() == b.views[0].tolist()


@pytest.mark.parametrize("other", [{"seed": 2}, {"round_index": 1}], ids=str)
def test_order_is_a_function_of_seed_and_round(other: dict) -> None:
    assert seen(plan(), 0) == seen(plan(), 0)
    assert seen(plan(**other), 0) != seen(plan(), 0)


def test_clients_of_one_size_are_shuffled_differently() -> None:
    rows = [np.arange(8)] * 2
    steps = list(batches(rows, np.array([4, 7]), FederationConfig(batch_size=8), 1, 0, 9))
    assert steps[0].rows[0].tolist() != steps[0].rows[1].tolist()
    assert steps[0].views[0].tolist() != steps[0].views[1].tolist()


def test_single_view_is_the_centre_crop() -> None:
    assert all((batch.views == 0).all() for batch in plan())


def test_fixed_views_are_numbered_from_1_for_padding_too() -> None:
    steps = plan(num_views=3, drop_last=False, local_epochs=20)
    assert set(np.concatenate([b.views.flatten() for b in steps]).tolist()) == {1, 2, 3}


def test_fresh_views_do_not_repeat() -> None:
    steps = plan(clients=1, num_views=0, local_epochs=20)
    views = np.concatenate([b.views.flatten() for b in steps]).tolist()
    assert len(set(views)) == len(views) == 160
    assert min(views) >= 1
