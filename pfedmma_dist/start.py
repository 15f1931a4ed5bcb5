"""Settle what a start leaves open: adopt what the folder's run began with, fill in the rest."""

import logging
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from pfedmma_dist.config.command_line import from_yaml
from pfedmma_dist.config.identity import Flat, defaults, differences, flat, moved, open_keys
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import shown
from pfedmma_dist.data.sources import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.reading import Newer
from pfedmma_dist.run import manifest, result
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import DAMAGE, candidates
from pfedmma_dist.run.together import together
from pfedmma_dist.world import World, limit_threads, make_deterministic

log = logging.getLogger(__name__)

NAMED = 6
"""Differing keys that a message names."""

UNTOLD = ("run.folder", "run.device")
"""Free keys that every start says anyway."""


def settle(cfg: Config, folder: RunFolder, world: World) -> None:
    """Fill the open keys of `cfg` in place and set up this process accordingly.

    TogetherError where the folder holds a run of another configuration. Collective.
    """
    changed = together(world, lambda: adopt(cfg, folder), ValueError)
    for key, was, now in changed:
        if key not in UNTOLD:
            log.info("%s: %s so far, %s from here on", key, shown(was), shown(now))
    resolve(cfg, world)
    if cfg.run.deterministic:
        make_deterministic()


def adopt(cfg: Config, folder: RunFolder) -> list[tuple[str, Any, Any]]:
    """Take over what the folder's run chose for the open keys, if it is the run of `cfg`.

    ValueError where any file of the folder that says whose it is belongs to another run. A run
    without a checkpoint has nothing to go on from, and may begin anew with other values: those that
    an error message has just asked for. Returns (key, before, now) of what differs all the same.
    """
    has_state = folder.result.exists() or bool(candidates(folder.checkpoints))
    owners = list(_owners(folder))
    if not has_state:
        return []
    if not owners:
        raise ValueError(
            f"run.folder: {folder.path} has lost its {folder.config.name}, and what it holds is of "
            "format 0, which does not say whose it is; restore that file, or set run.folder to a "
            "new folder"
        )
    wanted, usual = flat(cfg), defaults(cfg.method["name"], METHODS)
    for path, saved in owners:
        found = differences(saved, wanted, usual)
        if found:
            raise ValueError(_another_run(folder, path, found))
    _, began = owners[0]
    for key in open_keys():
        *sections, name = key.split(".")
        section = reduce(getattr, sections, cfg)
        if getattr(section, name) is None:
            setattr(section, name, began.get(key))
    return moved(began, wanted)


def resolve(cfg: Config, world: World) -> None:
    """Decide what null leaves to the program."""
    if cfg.federation.first_round_all is None:
        cfg.federation.first_round_all = METHODS[cfg.method["name"]].first_round_all
    if cfg.federation.cohort_size is None:
        # Measured: lockstep costs a CPU a quarter, and one client at a time leaves a GPU idle.
        cfg.federation.cohort_size = 8 if world.device.type == "cuda" else 1
    cfg.run.threads = limit_threads(cfg.run.threads, world)


def _owners(folder: RunFolder) -> Iterator[tuple[Path, Flat]]:
    """Yield each file that says whose state the folder holds, and what it says: all keys.

    A damaged checkpoint says nothing: loading it tells.
    """
    if folder.config.is_file():
        try:
            yield folder.config, flat(from_yaml(folder.config, methods=METHODS, sources=SOURCES))
        except ValueError as error:
            raise ValueError(
                f"run.folder: {folder.path} holds no run of this program that can go on ({error}); "
                "set run.folder to a new folder"
            ) from error
    finished = result.read(folder)
    if finished is not None and "configuration" in finished:
        yield folder.result, finished["configuration"]
    for path in candidates(folder.checkpoints):
        try:
            record = manifest.read(path)
        except Newer:
            raise
        except DAMAGE:
            continue
        if record.format > 0:
            yield path, record.meta["configuration"]


def _another_run(folder: RunFolder, path: Path, found: list[tuple[str, Any, Any]]) -> str:
    told = [f"{key}: {shown(was)} there, {shown(now)} here" for key, was, now in found[:NAMED]]
    if len(found) > NAMED:
        told.append(f"{len(found) - NAMED} more keys")
    where = path.relative_to(folder.path)
    inside = "" if path == folder.config else f", says {where},"
    return (
        f"run.folder: {folder.path} holds{inside} a run with another configuration "
        f"({'; '.join(told)}); set run.folder to a new folder, or give the same values to go on "
        "with that run"
    )
