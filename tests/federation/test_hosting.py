"""Shards go to ranks so that the busiest rank of a round has as little to do as can be."""

import numpy as np
import pytest
from tiny import tiny_federation

from pfedmma_dist.federation.hosting import hosts
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.world import World


def rounds_of(work: np.ndarray, host: np.ndarray, num_ranks: int) -> int:
    """Return how many steps all rounds take, each as long as its busiest rank."""
    loads = [work[:, host == rank].sum(axis=1) for rank in range(num_ranks)]
    return np.max(loads, axis=0).sum()


def test_busy_shards_meet_idle_ones() -> None:
    work = np.array([[9, 1, 8, 2], [9, 0, 9, 0]])  # in turn rank 0 has all the long ones
    host = hosts(work, 2)
    assert rounds_of(work, host, 2) == 19 and rounds_of(work, np.arange(4) % 2, 2) == 35
    assert np.bincount(host).tolist() == [2, 2]


@pytest.mark.parametrize(("num_shards", "num_ranks"), [(8, 2), (7, 3), (5, 4)])
def test_no_exchange_of_two_shards_would_be_better(num_shards: int, num_ranks: int) -> None:
    work = np.random.default_rng(0).integers(0, 9, (5, num_shards))
    host = hosts(work, num_ranks)
    ours = rounds_of(work, host, num_ranks)
    assert ours < rounds_of(work, np.arange(num_shards) % num_ranks, num_ranks)
    for one in range(num_shards):
        for other in range(one):
            swapped = host.copy()
            swapped[[one, other]] = host[[other, one]]
            assert rounds_of(work, swapped, num_ranks) >= ours


def test_ranks_that_have_a_shard_each_or_stand_alone_keep_the_order() -> None:
    work = np.random.default_rng(0).integers(0, 9, (5, 4))
    assert hosts(work, 4).tolist() == [0, 1, 2, 3]
    assert hosts(work, 1).tolist() == [0, 0, 0, 0]
    assert hosts(work[:0], 2).tolist() == [0, 1, 0, 1]


def test_ranks_of_a_federation_agree_on_who_hosts_what_its_rounds_train() -> None:
    ranks = [World(rank, 2, World.alone().device) for rank in range(2)]
    made = [tiny_federation(PFedMMA, rank, num_shards=4, fraction=0.5, rounds=5) for rank in ranks]
    assert sorted(shard for one in made for shard in one.hosted) == [0, 1, 2, 3]
    work = np.zeros((5, 4), np.int64)
    for index, row in enumerate(work):
        for client in made[0].drawn(index):
            row[made[0].shard_of[client]] += made[0].steps[client]
    assert np.array_equal(made[0].host_of, hosts(work, 2))
