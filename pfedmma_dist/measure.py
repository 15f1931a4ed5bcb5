"""What rounds of a method cost on this machine: seconds, memory, arithmetic.

Rounds are those of the program: the same federation, the same cached features. Nothing is scored.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import median

from torch.utils.flop_counter import FlopCounterMode

from pfedmma_dist import plugins
from pfedmma_dist.build import assemble, attach_features
from pfedmma_dist.config.keys import Config
from pfedmma_dist.run.environment import memory_mib
from pfedmma_dist.start import check_graphs, resolve
from pfedmma_dist.world import World

TIMED = 3
"""Rounds of which the median time is told, after one that warms up."""


@dataclass(frozen=True)
class Measured:
    """What rounds of one method cost."""

    seconds: float  # per round
    mib: float  # peak memory: of the GPU where there is one, else what the process held
    flop: float  # of matrix products, per client and step


def measure(cfg: Config) -> Measured:
    """Train a few rounds in a process of its own, so that memory is that of this method alone."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(rounds, cfg).result()


def rounds(cfg: Config) -> Measured:
    """Train a few rounds in this process."""
    plugins.load(cfg.plugins, {})
    world = World.connect(cfg.run.device)
    try:
        resolve(cfg, world)
        check_graphs(cfg, world)
        federation = assemble(_long_enough(cfg), world)
        attach_features(federation, testing=False)
        took = [federation.round(index).seconds for index in range(1 + TIMED)][1:]
        resident, gpu = memory_mib(world.device)
        with FlopCounterMode(display=False) as counter:
            federation.round(1 + TIMED)
        steps = federation.steps[federation.participants(1 + TIMED)].sum()
        mib = resident if gpu is None else gpu
        return Measured(median(took), mib, counter.get_total_flops() / steps)
    finally:
        world.close()


def _long_enough(cfg: Config) -> Config:
    """Return the run with the rounds that are trained here: their clients' features are there."""
    rounds = max(cfg.federation.rounds, 2 + TIMED)
    return replace(cfg, federation=replace(cfg.federation, rounds=rounds))
