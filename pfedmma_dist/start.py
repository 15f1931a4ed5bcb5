"""Settle what a start leaves open: adopt what the folder's run began with, fill in the rest."""

from typing import Any

from omegaconf import OmegaConf

from pfedmma_dist.config import Config
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.compare import compare
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.world import World, limit_threads, make_deterministic

SETTLED = (("federation", "first_round_all"), ("federation", "cohort_size"), ("run", "threads"))
"""Keys whose null is decided at the first start, and kept at every later one."""


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

    Raises ValueError where the folder holds a run of another configuration.
    """
    if folder.config.is_file():
        saved = OmegaConf.to_container(OmegaConf.load(folder.config))
        differences = compare(saved, tree(cfg))
        if differences:
            told = "; ".join(f"{key}: {was} there, {now} here" for key, was, now in differences)
            raise ValueError(
                f"run.folder: {folder.path} holds a run with another configuration ({told}); set "
                "run.folder to a new folder, or give the same values to go on with that run"
            )
        for section, key in SETTLED:
            if getattr(getattr(cfg, section), key) is None:
                setattr(getattr(cfg, section), key, saved[section][key])
    resolve(cfg, world)
    if cfg.run.deterministic:
        make_deterministic()


def resolve(cfg: Config, world: World) -> None:
    """Decide what null leaves to the program."""
    if cfg.federation.first_round_all is None:
        cfg.federation.first_round_all = METHODS[cfg.method["name"]].first_round_all
    if cfg.federation.cohort_size is None:
        # Measured: lockstep costs a CPU a quarter, and one client at a time leaves a GPU idle.
        cfg.federation.cohort_size = 8 if world.device.type == "cuda" else 1
    cfg.run.threads = limit_threads(cfg.run.threads, world.host_size)
