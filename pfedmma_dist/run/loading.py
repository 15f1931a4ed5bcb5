"""Load the state of a run between two rounds, as far as this rank needs it, at any world size.

Only what is intact to the byte, this run's and accepted is taken in; `checkpoint.py` has saved it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from pfedmma_dist.pieces import Parts
from pfedmma_dist.reading import Newer
from pfedmma_dist.run import manifest, stored
from pfedmma_dist.run.manifest import DAMAGE, Manifest, candidates, round_of
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """An intact checkpoint, as far as this rank needs it."""

    round_index: int
    shards: dict[int, dict[str, Tensor] | Parts]  # of the shards asked for; {}: one without clients
    server: dict[str, Tensor]
    meta: dict[str, Any]
    metrics: str | None  # the table of the rounds before; None in format 0


Check = Callable[[Path, Manifest], None]
"""Raises TogetherError, on all ranks, where an intact checkpoint is not one of this run."""

Accept = Callable[[Loaded], None]
"""Takes the state in; ValueError where it cannot be what was saved."""


def load(
    folder: Path,
    world: World,
    shard_ids: list[int],
    fingerprint: str,
    num_shards: int,
    check: Check = lambda path, record: None,
    accept: Accept = lambda loaded: None,
    only: int | None = None,
) -> Loaded | None:
    """Return the newest intact checkpoint in `folder`, None where none was ever made.

    only: the round that alone will do; None: any.

    One that is damaged, or that `accept` refuses, is passed over with a warning. TogetherError
    where all are, and where the newest intact one belongs to another run, as `check` says, or to
    another parameter layout or number of shards. Collective; changes nothing on the disk.
    """
    paths = [path for path in candidates(folder) if only in (None, round_of(path))]
    names = [path.name for path in paths] if world.first else []
    names = _from_first(world, names)
    reasons: list[str] = []
    for name in names:
        path = folder / name
        together(world, partial(_refuse_newer, path), Newer)
        record = _attempt(world, path, manifest.read, reasons)
        if record is None:
            continue
        check(path, record)
        _check_layout(path, record, fingerprint, num_shards)
        loaded = _attempt(world, path, partial(_read, record, shard_ids, accept), reasons)
        if loaded is not None:
            return loaded
    if names:
        raise TogetherError(
            f"run.folder: every checkpoint in {folder} is damaged (the newest: {reasons[0]}); "
            "restore that folder from a copy, or delete it to start again from round 0"
        )
    return None


def _attempt(world: World, path: Path, action: Callable[[Path], T], reasons: list[str]) -> T | None:
    """Return `action(path)`, or None with a warning, and one more reason, where any rank meets
    damage."""
    try:
        return together(world, lambda: action(path), *DAMAGE)
    except TogetherError as error:
        if world.first:
            log.warning("checkpoint %s cannot be used and is passed over: %s", path, error)
        reasons.append(str(error))
        return None


def _refuse_newer(path: Path) -> None:
    """Raise Newer where a newer program saved a checkpoint, instead of going on from older ones."""
    try:
        manifest.read(path)
    except Newer:
        raise
    except DAMAGE:
        return


def _check_layout(path: Path, record: Manifest, fingerprint: str, num_shards: int) -> None:
    saved = record.meta
    shards = saved["num_shards"]
    if shards != num_shards:
        raise TogetherError(
            f"federation.num_shards: {path} was saved with {shards} shards, this run has "
            f"{num_shards}; set federation.num_shards={shards}, or another run.folder"
        )
    if saved["fingerprint"] != fingerprint:
        raise TogetherError(
            f"run.folder: {path} holds the parameter layout {saved['fingerprint']}, this run has "
            f"{fingerprint}; use the method options (with the files that they name) and the "
            "clip.model of that run, or set another run.folder"
        )


def _from_first(world: World, names: list[str]) -> list[str]:
    """Return rank 0's list on all ranks: on a shared disk each may see another one for a while."""
    count = int(world.exact_sum(torch.tensor([len(names)])))
    return [world.gather_texts(names[i] if world.first else "")[0] for i in range(count)]


def _read(record: Manifest, shard_ids: list[int], accept: Accept, path: Path) -> Loaded:
    """Return the shards asked for and the rest, each checked against its digest, and accepted."""
    loaded = Loaded(
        record.round_index,
        {shard: stored.read_shard(path, record, shard) for shard in shard_ids},
        stored.read_tensors(path, record, manifest.SERVER),
        record.meta,
        stored.read_metrics(path, record),
    )
    accept(loaded)
    return loaded
