"""Settle what a start leaves open: adopt what the folder's run began with, fill in the rest."""

import logging

from pfedmma_dist import plugins
from pfedmma_dist.adoption import adopt
from pfedmma_dist.config.choices import Dtype
from pfedmma_dist.config.common import common, differing
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.shards import num_shards
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.together import TogetherError, together, unlike
from pfedmma_dist.world import World, allow_tf32, limit_threads, make_deterministic

log = logging.getLogger(__name__)


def settle(cfg: Config, folder: RunFolder, world: World) -> None:
    """Fill the open keys of `cfg` in place and set up this process accordingly.

    TogetherError where the folder holds a run of another configuration. Collective.
    """
    remarks = together(world, lambda: adopt(cfg, folder, METHODS), ValueError)
    if world.first:
        for level, words in remarks:
            log.log(level, "%s", words)
    resolve(cfg, world)
    check_graphs(cfg, world)


def agree(cfg: Config, world: World) -> None:
    """Raise TogetherError where a rank was given other keys than rank 0, or has other code of a
    plugin, as where hosts have different files. Collective."""
    if world.size == 1:
        return
    code = (f"{one['name']} {one['digest']}" for one in plugins.record(cfg.plugins))
    found = unlike(world, "\n".join([f"{plugins.KEY}={', '.join(code)}", common(cfg, METHODS)]))
    if found is not None:
        rank, theirs, ours = found
        raise TogetherError(
            f"{differing(theirs, ours, rank)}; give all ranks the same words, and all hosts the "
            "same files"
        )


def resolve(cfg: Config, world: World) -> None:
    """Decide what null leaves to the program, and set up this process accordingly."""
    if cfg.federation.first_round_all is None:
        cfg.federation.first_round_all = METHODS[cfg.method["name"]].first_round_all
    if cfg.federation.cohort_size is None:
        # Measured: lockstep costs a CPU a quarter, and one client at a time leaves a GPU idle.
        alone = cfg.released.momentum
        cfg.federation.cohort_size = 8 if not alone and world.device.type == "cuda" else 1
    if cfg.federation.num_shards is None:
        usual = num_shards(world.device.type, world.size)
        cfg.federation.num_shards = 1 if cfg.released.momentum else usual
    narrow = cfg.clip.dtype is Dtype.tfloat32
    if narrow and world.device.type != "cuda":
        raise TogetherError(
            "clip.dtype: tfloat32 is arithmetic of a GPU, and this run computes on "
            f"{world.device.type}; set clip.dtype=float32"
        )
    allow_tf32(narrow)
    cfg.run.threads = limit_threads(cfg.run.threads, world)
    if cfg.run.deterministic:
        make_deterministic()


def check_graphs(cfg: Config, world: World) -> None:
    """Refuse CUDA graphs where there are none, or where no bit could be compared."""
    if not cfg.run.cuda_graphs:
        return
    if world.device.type != "cuda":
        raise TogetherError(
            "run.cuda_graphs: true, and this run computes on a CPU, which calls its kernels one by "
            "one whatever is recorded; set run.cuda_graphs=false"
        )
    if not cfg.run.deterministic:
        raise TogetherError(
            "run.cuda_graphs: true, and run.deterministic=false: a replayed step is held to the "
            "plain one bit for bit, and not even two plain steps need be the same there; set "
            "run.deterministic=true or run.cuda_graphs=false"
        )
