"""Attackers: which clients mean harm, and what of their attack happens to what they send."""

from collections.abc import Mapping, Sequence

import numpy as np

from pfedmma_dist.config.choices import AttackName
from pfedmma_dist.config.keys import Config
from pfedmma_dist.exchange.attack import MOVES, Moved
from pfedmma_dist.exchange.collusion import ROWS, Collusion
from pfedmma_dist.exchange.uplink import Stage
from pfedmma_dist.federation.cohort import unseen_clients
from pfedmma_dist.rng import generator


def attackers_of(cfg: Config, num_clients: int) -> np.ndarray:
    """Return the sorted attackers: int(attack.share * K) of the K clients that train.

    ValueError where that is nobody.
    """
    unseen = unseen_clients(cfg.federation, cfg.seed, num_clients)
    seen = np.setdiff1d(np.arange(num_clients), unseen)
    if cfg.attack.name is AttackName.none:
        return seen[:0]
    count = int(cfg.attack.share * len(seen) + 1e-9)  # 0.29 of 100 are 29
    if not count:
        raise ValueError(
            f"attack.share: {cfg.attack.share:g} of {len(seen)} clients that train is nobody; set "
            f"{1 / len(seen):g} or more, or attack.name=none"
        )
    return np.sort(generator(cfg.seed, "attackers").choice(seen, count, replace=False))


def attack_stages(cfg: Config, attackers: np.ndarray) -> dict[str, Stage]:
    """Return what happens to what attackers send, by the key that asks for it: nothing where they
    train as told, or on poisoned images alone."""
    name, scale = cfg.attack.name.value, cfg.attack.scale
    if name in ROWS:
        return {"attack.name": Collusion(name, scale, attackers)}
    if name not in MOVES or (MOVES[name].scale if scale is None else scale) == MOVES[name].idle:
        return {}
    return {"attack.name": Moved(name, scale, attackers, cfg.seed)}


def colludes(cfg: Config) -> bool:
    """Whether attackers know each other's and everybody's uploads, which then lie in the open."""
    return cfg.attack.name.value in ROWS


def told_apart(dropped: Sequence[int], attackers: np.ndarray) -> Mapping[str, int | str]:
    """Return how many attackers and how many others are among clients that were left out, and who
    they are; {} where nobody was."""
    if not dropped:
        return {}
    bad = int(np.isin(dropped, attackers).sum())
    return {
        "attackers": bad,
        "honest": len(dropped) - bad,
        "clients": " ".join(map(str, dropped)),
    }
