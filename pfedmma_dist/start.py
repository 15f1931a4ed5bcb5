"""Settle what a start leaves open: adopt what the folder's run began with, fill in the rest."""

from typing import Any

from omegaconf import OmegaConf

from pfedmma_dist.config.command_line import from_yaml
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import shown
from pfedmma_dist.data.sources import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.checkpoint import candidates
from pfedmma_dist.run.compare import OPEN, compare
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.together import together
from pfedmma_dist.world import World, limit_threads, make_deterministic


def tree(cfg: Config) -> dict[str, Any]:
    """Return the configuration as nested plain values, enums by name."""
    return OmegaConf.to_container(OmegaConf.structured(cfg), enum_to_str=True)


def flat(cfg: Config) -> dict[str, Any]:
    """Return the configuration as dotted key -> plain value."""
    whole = tree(cfg)
    sections = {k: v if isinstance(v, dict) else {"": v} for k, v in whole.items()}
    return {
        f"{k}.{n}".rstrip("."): v for k, section in sections.items() for n, v in section.items()
    }


def settle(cfg: Config, folder: RunFolder, world: World) -> None:
    """Fill the open keys of `cfg` in place and set up this process accordingly.

    TogetherError where the folder holds a run of another configuration. Collective.
    """
    together(world, lambda: adopt(cfg, folder), ValueError)
    resolve(cfg, world)
    if cfg.run.deterministic:
        make_deterministic()


def adopt(cfg: Config, folder: RunFolder) -> None:
    """Take over what the folder's run chose for the open keys, if it is the run of `cfg`.

    A run without a checkpoint has nothing to go on from, and may begin anew with other values:
    those that an error message has just asked for.
    """
    if not folder.config.is_file():
        return
    try:
        saved = from_yaml(folder.config, methods=METHODS, sources=SOURCES)
    except ValueError as error:
        raise ValueError(
            f"run.folder: {folder.path} holds no run of this program that can go on ({error}); "
            "set run.folder to a new folder"
        ) from error
    if not folder.result.exists() and not candidates(folder.checkpoints):
        return
    differences = compare(tree(saved), tree(cfg))
    if differences:
        told = "; ".join(
            f"{key}: {shown(was)} there, {shown(now)} here" for key, was, now in differences
        )
        raise ValueError(
            f"run.folder: {folder.path} holds a run with another configuration ({told}); set "
            "run.folder to a new folder, or give the same values to go on with that run"
        )
    for key in OPEN:
        section, name = key.split(".")
        if getattr(getattr(cfg, section), name) is None:
            setattr(getattr(cfg, section), name, getattr(getattr(saved, section), name))


def resolve(cfg: Config, world: World) -> None:
    """Decide what null leaves to the program."""
    if cfg.federation.first_round_all is None:
        cfg.federation.first_round_all = METHODS[cfg.method["name"]].first_round_all
    if cfg.federation.cohort_size is None:
        # Measured: lockstep costs a CPU a quarter, and one client at a time leaves a GPU idle.
        cfg.federation.cohort_size = 8 if world.device.type == "cuda" else 1
    cfg.run.threads = limit_threads(cfg.run.threads, world)
