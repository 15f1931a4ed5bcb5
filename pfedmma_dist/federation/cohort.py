"""Who trains in a round, in which group, on which images: functions of (seed, round, client)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pfedmma_dist.config.choices import Sampling
from pfedmma_dist.config.keys import FederationConfig
from pfedmma_dist.federation.plan_file import Steps
from pfedmma_dist.rng import Key, generator


@dataclass(frozen=True)
class Cohort:
    """Clients of one shard that go through their steps together."""

    shard: int
    clients: np.ndarray  # [G] int64, most steps first


@dataclass(frozen=True)
class Batch:
    """One step of a cohort. Rows of weight 0 are padding; an inactive client has no more steps."""

    rows: np.ndarray  # [G, B] int64 image rows
    views: np.ndarray  # [G, B] int64 augmentation of each image, 0 the centre crop
    weight: np.ndarray  # [G, B] float32, 1 or 0
    active: np.ndarray  # [G] bool
    keys: tuple[Key, ...] = ()  # [G] whose step it is: what is drawn there is a function of them


def visitors(cfg: FederationConfig, seed: int, round_index: int, num_clients: int) -> np.ndarray:
    """Return the clients of a round as they are drawn: max(int(fraction * K), 1), without
    replacement, or each by itself with probability fraction, which may come to nobody."""
    if round_index == 0 and cfg.first_round_all:
        return np.arange(num_clients)
    if cfg.sampling is Sampling.poisson:
        drawn = generator(seed, "participants", round_index).random(num_clients) < cfg.fraction
        return np.flatnonzero(drawn)
    count = max(int(cfg.fraction * num_clients), 1)
    return generator(seed, "participants", round_index).choice(num_clients, count, replace=False)


def unseen_clients(cfg: FederationConfig, seed: int, num_clients: int) -> np.ndarray:
    """Return the sorted clients that never train, int(unseen * K); none at all where it is 0."""
    count = int(cfg.unseen * num_clients)
    if cfg.unseen and not 0 < count < num_clients:
        raise ValueError(
            f"federation.unseen: {cfg.unseen:g} of {num_clients} clients is {count}; some must "
            f"train and some must not, so set {1 / num_clients:g} or more, and below 1"
        )
    draw = generator(seed, "unseen").choice(num_clients, count, replace=False)
    return np.sort(draw)


def steps_per_epoch(sizes: np.ndarray, cfg: FederationConfig) -> np.ndarray:
    """Return the steps of one epoch of clients with these many images."""
    whole = sizes // cfg.batch_size
    ragged = -(-sizes // cfg.batch_size)
    return np.where(cfg.drop_last & (whole > 0), whole, ragged)


def check_ranks(cfg: FederationConfig, num_ranks: int) -> None:
    """Refuse more ranks than there are shards to host."""
    assert cfg.num_shards is not None
    if num_ranks > cfg.num_shards:
        raise ValueError(
            f"federation.num_shards: {cfg.num_shards} shards cannot be hosted by {num_ranks} "
            f"ranks; set federation.num_shards={num_ranks} or more, or start fewer ranks (a rank "
            "hosts whole shards: results do not depend on their number)"
        )


def assign_shards(steps: np.ndarray, num_shards: int) -> list[np.ndarray]:
    """Deal all clients to shards, the longest first, each to the emptiest; ties by number.

    A function of the partition alone: a client stays in its shard whatever the ranks.
    """
    load, shard_of = np.zeros(num_shards, np.int64), np.empty(len(steps), np.int64)
    order = np.lexsort((np.arange(len(steps)), -steps))
    lengths, begins = np.unique(-steps[order], return_index=True)
    for length, clients in zip(-lengths, np.split(order, begins[1:]), strict=True):
        dealt = _deal(load, int(length), len(clients))
        shard_of[clients] = dealt
        load += length * np.bincount(dealt, minlength=num_shards)
    members = np.argsort(shard_of, kind="stable")
    return np.split(members, np.cumsum(np.bincount(shard_of, minlength=num_shards))[:-1])


def _deal(load: np.ndarray, length: int, count: int) -> np.ndarray:
    """Return the shards [count] that take clients of one length in turn, each the emptiest; ties by
    number.

    A shard j is chosen at loads load_j, load_j + length, load_j + 2 length ...: these are the
    `count` smallest of all shards' such numbers, in order.
    """
    if not length:  # no client makes a shard fuller
        return np.full(count, load.argmin())
    low, high = int(load.min()), int(load.min()) + length * count
    while low < high:  # the highest level below which no more than `count` are chosen
        level = (low + high + 1) // 2
        below = np.maximum(-((load - level) // length), 0)
        low, high = (level, high) if below.sum() <= count else (low, level - 1)
    turns = np.maximum(-((load - low) // length), 0)
    shards = np.repeat(np.arange(len(load)), turns)
    turn = np.arange(len(shards)) - np.repeat(np.cumsum(turns) - turns, turns)
    dealt = shards[np.lexsort((shards, load[shards] + length * turn))]
    last = np.flatnonzero((load <= low) & ((low - load) % length == 0))  # at that level itself
    return np.concatenate([dealt, last[: count - len(dealt)]])


def longest_first(clients: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return clients of a shard in the order of their cohorts; ties by number.

    steps: of all clients [K].
    """
    return clients[np.lexsort((clients, -steps[clients]))]


def cut_cohorts(
    shard: int, clients: np.ndarray, steps: np.ndarray, cohort_size: int
) -> list[Cohort]:
    """Cut a shard's clients into cohorts, longest first, so that little is padded.

    steps: of all clients [K].
    """
    order = longest_first(clients, steps)
    return [
        Cohort(shard, order[start : start + cohort_size])
        for start in range(0, len(order), cohort_size)
    ]


def lockstep(
    plans: Sequence[Steps], clients: np.ndarray, seed: int, round_index: int
) -> Iterator[Batch]:
    """Yield the steps of clients [G] side by side."""
    width = max(len(step[0]) for plan in plans for step in plan)
    for index in range(max(map(len, plans))):
        # A client that is done repeats its last batch, whose gradient is thrown away.
        steps = [plan[min(index, len(plan) - 1)] for plan in plans]
        yield Batch(
            rows=np.stack([_pad(own, width) for own, _ in steps]),
            views=np.stack([_pad(views, width) for _, views in steps]),
            weight=np.stack([np.arange(width) < len(own) for own, _ in steps]).astype(np.float32),
            active=np.array([index < len(plan) for plan in plans]),
            keys=tuple(Key(seed, round_index, int(client), index) for client in clients),
        )


def _pad(values: np.ndarray, width: int) -> np.ndarray:
    """Repeat the last value up to `width`: an image and view that the client has features of."""
    return np.pad(values, (0, width - len(values)), mode="edge")


def drawn_steps(
    rows: np.ndarray,
    client: int,
    cfg: FederationConfig,
    seed: int,
    round_index: int,
    num_views: int,
) -> Steps:
    """Return the steps of one client's round; rows: its training images."""
    plan = []
    for epoch in range(cfg.local_epochs):
        key = round_index, client, epoch
        shuffled = rows[generator(seed, "shuffle", *key).permutation(len(rows))]
        views = _views(len(rows), num_views, generator(seed, "views", *key))
        for step in range(int(steps_per_epoch(np.array(len(rows)), cfg))):
            part = slice(step * cfg.batch_size, (step + 1) * cfg.batch_size)
            plan.append((shuffled[part], views[part]))
    return plan


def _views(count: int, num_views: int, rng: np.random.Generator) -> np.ndarray:
    """Draw which augmentation each image is seen in: one of V fixed ones, or (V = 0) a fresh
    one."""
    if num_views == 1:
        return np.zeros(count, np.int64)
    return rng.integers(1, (num_views or 2**31 - 2) + 1, count)
