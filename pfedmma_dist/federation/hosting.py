"""Hosting: which rank hosts which shard, so that ranks finish their rounds together."""

import numpy as np

ROUNDS = 64
"""How many of a run's rounds are looked at, from the first."""

TRIALS = 20_000
"""Exchanges that are tried at most: half a second, enough for 64 shards on 8 ranks."""


def hosts(work: np.ndarray, num_ranks: int) -> np.ndarray:
    """Return the rank of each shard [S] int64.

    work: [rounds, S] steps of a shard's clients in rounds. Dealt in turn, two shards of different
    ranks change places wherever that shortens the rounds in all, a round being as long as its
    busiest rank. No rank hosts more shards than in turn, and no result depends on who hosts them.
    """
    host = np.arange(work.shape[1]) % num_ranks
    loads = np.stack([work[:, host == rank].sum(axis=1) for rank in range(num_ranks)], axis=1)
    shortest, left, found = loads.max(axis=1).sum(), TRIALS, True
    while found:
        found = False
        for one, other in zip(*np.tril_indices(len(host), -1), strict=True):
            here, there = host[one], host[other]
            if here == there or not left:
                continue
            left -= 1
            tried, more = loads.copy(), work[:, other] - work[:, one]
            tried[:, here] += more
            tried[:, there] -= more
            length = tried.max(axis=1).sum()
            if length < shortest:
                shortest, loads, found = length, tried, True
                host[one], host[other] = there, here
    return host
