"""Save and load the state of a run between two rounds, shard by shard, at any world size.

`round_000050/` holds a file per shard that has clients, `server.safetensors`, the table of the
rounds so far and, written last, `manifest.json` with the sha256 of each of them and of itself, and
with what tells whose state it is. A folder whose name starts with a dot
is unfinished (`.tmp`) or about to be replaced (`.old`); only the latter is ever read.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor

from pfedmma_dist.reading import Newer
from pfedmma_dist.run import manifest
from pfedmma_dist.run.files import sync
from pfedmma_dist.run.manifest import DAMAGE, ENTRY, Manifest, candidates, round_of, shard_file
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

T = TypeVar("T")


class CheckpointError(OSError):
    """Say that a checkpoint could not be written; raised on all ranks together."""


@dataclass(frozen=True)
class Loaded:
    """An intact checkpoint, as far as this rank needs it."""

    round_index: int
    shards: dict[int, dict[str, Tensor]]  # of the shards asked for; {} for one without clients
    server: dict[str, Tensor]
    meta: dict[str, Any]
    metrics: str | None  # the table of the rounds before; None in format 0


Check = Callable[[Path, Manifest], None]
"""Raises TogetherError, on all ranks, where an intact checkpoint is not one of this run."""

Accept = Callable[[Loaded], None]
"""Takes the state in; ValueError where it cannot be what was saved."""


def save(
    folder: Path,
    world: World,
    round_index: int,
    shards: dict[int, dict[str, Tensor]],
    server: dict[str, Tensor],
    meta: dict[str, Any],
    keep: int,
    metrics: str = "",
) -> Path:
    """Write the checkpoint of `round_index` into `folder` and drop all but the newest `keep`.

    shards: tensors of the shards that this rank hosts; an empty dict needs no file. server: written
    by rank 0, the same on all ranks. meta: the facts that manifest.py names. metrics: the table of
    the rounds so far, rank 0's. Collective. Whatever happens, the last checkpoint stays readable
    until this one is complete.
    """
    assert keep >= 1
    assert {"fingerprint", "num_shards"} <= meta.keys()
    final = folder / f"round_{round_index:06d}"
    temporary = folder / f".{final.name}.tmp"
    try:
        together(world, lambda: _prepare(folder, temporary) if world.first else None, OSError)
        table = together(
            world, lambda: _write(temporary, shards, server, meta, world), OSError, SafetensorError
        )
        record = Manifest(round_index, manifest.entries(world.exact_sum(table)), meta)

        def publish() -> None:
            record.files.update(manifest.write_metrics(temporary, metrics))
            _publish(temporary, final, record)

        together(world, lambda: publish() if world.first else None, OSError)
    except TogetherError as error:
        newest = world.gather_texts(_abandon(folder, temporary) if world.first else "")[0]
        raise CheckpointError(
            f"run.folder: cannot save {final}: {error}; {newest}. "
            "Make room or mend the permissions, then start the same command again to go on"
        ) from error
    if world.first:
        _prune(folder, round_index, keep)
    world.barrier()
    return final


def load(
    folder: Path,
    world: World,
    shard_ids: list[int],
    fingerprint: str,
    num_shards: int,
    check: Check = lambda path, record: None,
    accept: Accept = lambda loaded: None,
) -> Loaded | None:
    """Return the newest intact checkpoint in `folder`, None where none was ever made.

    One that is damaged, or that `accept` refuses, is passed over with a warning. TogetherError
    where all are, and where the newest intact one belongs to another run, as `check` says, or to
    another parameter layout or number of shards. Collective; changes nothing on the disk.
    """
    names = [path.name for path in candidates(folder)] if world.first else []
    names = _from_first(world, names)
    for name in names:
        path = folder / name
        together(world, partial(_refuse_newer, path), Newer)
        record = _attempt(world, path, manifest.read)
        if record is None:
            continue
        check(path, record)
        _check_layout(path, record, fingerprint, num_shards)
        loaded = _attempt(world, path, partial(_read, record, shard_ids, accept))
        if loaded is not None:
            return loaded
    if names:
        raise TogetherError(
            f"run.folder: every checkpoint in {folder} is damaged; "
            "restore that folder from a copy, or delete it to start again from round 0"
        )
    return None


def _attempt(world: World, path: Path, action: Callable[[Path], T]) -> T | None:
    """Return `action(path)`, or None with a warning where any rank meets damage."""
    try:
        return together(world, lambda: action(path), *DAMAGE)
    except TogetherError as error:
        if world.first:
            log.warning("checkpoint %s cannot be used and is passed over: %s", path, error)
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
            f"{fingerprint}; use the method options and the clip.model of that run, "
            "or set another run.folder"
        )


def tidy(folder: Path) -> None:
    """Clear away what a crash left behind, and give a checkpoint that it cut short its name back.

    A disk that does not let it is told by the next save.
    """
    for left_over in folder.glob(".round_*.tmp"):
        _remove(left_over)
    for old in folder.glob(".round_*.old"):
        name = folder / old.name[1 : -len(".old")]
        if name.exists():
            _remove(old)
        else:
            os.replace(old, name)


def _prepare(folder: Path, temporary: Path) -> None:
    """Make the folder to write into."""
    folder.mkdir(parents=True, exist_ok=True)
    tidy(folder)
    temporary.mkdir()


def _write(
    temporary: Path,
    shards: dict[int, dict[str, Tensor]],
    server: dict[str, Tensor],
    meta: dict[str, Any],
    world: World,
) -> Tensor:
    """Write this rank's files; return the table of their digests, other ranks' lines zero."""
    num_shards = meta["num_shards"]
    table = torch.zeros(num_shards + 1, ENTRY, dtype=torch.int64)
    for shard, tensors in shards.items():
        assert 0 <= shard < num_shards
        if tensors:
            table[shard] = manifest.write_tensors(temporary / shard_file(shard), tensors)
    if world.first:
        table[num_shards] = manifest.write_tensors(temporary / manifest.SERVER, server)
    return table


def _publish(temporary: Path, final: Path, record: Manifest) -> None:
    """Complete the folder and give it its name; an earlier one of that name goes last."""
    manifest.write(temporary, record)
    sync(temporary)
    old = final.with_name(f".{final.name}.old")
    if final.exists():
        os.replace(final, old)
    os.replace(temporary, final)
    sync(final.parent)
    _remove(old)


def _abandon(folder: Path, temporary: Path) -> str:
    """Remove the unfinished folder and say which checkpoint a restart will use."""
    _remove(temporary)
    for path in candidates(folder):
        try:
            record = manifest.read(path)
            for name in record.files:
                manifest.verify(path, record, name)
        except DAMAGE:
            continue
        return f"the newest intact checkpoint is {path}"
    return "there is no earlier checkpoint"


def _prune(folder: Path, round_index: int, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints up to `round_index`.

    Later rounds are a damaged future that a restart fell back from: they go too, else they would
    push intact ones out.
    """
    paths = [path for path in candidates(folder) if not path.name.startswith(".")]
    kept = [path for path in paths if round_of(path) <= round_index][:keep]
    for path in set(paths) - set(kept):
        doomed = path.with_name(f".{path.name}.tmp")  # so that a crash leaves no half checkpoint
        try:
            os.replace(path, doomed)
        except OSError as error:
            log.warning("cannot delete the old checkpoint %s: %s", path, error)
        _remove(doomed)


def _remove(path: Path) -> None:
    """Delete a folder, or what somebody has put there under its name, as far as one can."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _from_first(world: World, names: list[str]) -> list[str]:
    """Return rank 0's list on all ranks: on a shared disk each may see another one for a while."""
    count = int(world.exact_sum(torch.tensor([len(names)])))
    return [world.gather_texts(names[i] if world.first else "")[0] for i in range(count)]


def _read(record: Manifest, shard_ids: list[int], accept: Accept, path: Path) -> Loaded:
    """Return the shards asked for and the rest, each checked against its digest, and accepted."""
    loaded = Loaded(
        record.round_index,
        {shard: manifest.read_tensors(path, record, shard_file(shard)) for shard in shard_ids},
        manifest.read_tensors(path, record, manifest.SERVER),
        record.meta,
        manifest.read_metrics(path, record),
    )
    accept(loaded)
    return loaded
