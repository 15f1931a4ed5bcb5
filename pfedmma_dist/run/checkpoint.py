"""Save the state of a run between two rounds, shard by shard, at any world size.

`round_000050/` holds a file per shard that has clients, `server.safetensors`, the table of the
rounds so far and, written last, `manifest.json` with the sha256 of each of them and of itself, and
with what tells whose state it is. A folder whose name starts with a dot
is unfinished (`.tmp`) or about to be replaced (`.old`); only the latter is ever read.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from pfedmma_dist.pieces import Changing, Piece
from pfedmma_dist.run import manifest, stored
from pfedmma_dist.run.files import sync
from pfedmma_dist.run.manifest import DAMAGE, ENTRY, Manifest, candidates, round_of, shard_file
from pfedmma_dist.run.shards import published
from pfedmma_dist.run.shards import write as write_shard
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


class CheckpointError(OSError):
    """Say that a checkpoint could not be written; raised on all ranks together."""


def save(
    folder: Path,
    world: World,
    round_index: int,
    shards: Mapping[int, Mapping[str, Tensor]],
    server: dict[str, Tensor],
    meta: dict[str, Any],
    keep: int | None,
    metrics: str = "",
) -> Path:
    """Write the checkpoint of `round_index` into `folder` and drop all but the newest `keep`.

    keep: None drops none. shards: tensors of the shards that this rank hosts; an empty dict needs
    no file; of states that go on changing, only rows that have changed are written, where they are
    many. server: written by rank 0, the same on all ranks. meta: the facts that manifest.py
    names. metrics: the table of the rounds so far, rank 0's. Collective. Whatever happens, the last
    checkpoint stays readable until this one is complete.
    """
    assert keep is None or keep >= 1
    assert {"fingerprint", "num_shards"} <= meta.keys()
    final = folder / f"round_{round_index:06d}"
    temporary = folder / f".{final.name}.tmp"
    pieces: dict[int, tuple[Piece, list[Piece]]] = {}
    try:
        together(world, lambda: _prepare(folder, temporary) if world.first else None, OSError)
        table = together(
            world,
            lambda: _write(temporary, shards, server, meta, world, pieces),
            OSError,
            SafetensorError,
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
    for shard, (new, linked) in pieces.items():
        state = shards[shard]
        assert isinstance(state, Changing)
        published(state, new, linked, final)
    if world.first and keep is not None:
        _prune(folder, round_index, keep)
    world.barrier()
    return final


def settle(
    folder: Path, world: World, round_index: int, meta: dict[str, Any], metrics: str
) -> bool:
    """Give the checkpoint of `round_index` other facts and another table of the rounds; return
    whether it could be done.

    What holds its state is not written again: a new folder has links to it, and takes its name as
    that of any save does. Where there are no links, or it cannot be read, nothing has changed.
    Collective.
    """
    final = folder / f"round_{round_index:06d}"
    done = torch.tensor([int(_settled(final, round_index, meta, metrics)) if world.first else 0])
    return bool(world.exact_sum(done))


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
    shards: Mapping[int, Mapping[str, Tensor]],
    server: dict[str, Tensor],
    meta: dict[str, Any],
    world: World,
    pieces: dict[int, tuple[Piece, list[Piece]]],
) -> Tensor:
    """Write this rank's files; return the table of their digests, other ranks' lines zero.

    pieces: takes what is written and linked by shard.
    """
    num_shards = meta["num_shards"]
    table = torch.zeros(num_shards + 1, ENTRY, dtype=torch.int64)
    for shard, tensors in shards.items():
        assert 0 <= shard < num_shards
        path = temporary / shard_file(shard)
        if isinstance(tensors, Changing):
            new, _ = pieces[shard] = write_shard(path, tensors)
            table[shard] = stored.entry_of(new.sha256, new.num_bytes)
        elif tensors:
            table[shard] = stored.write_tensors(path, tensors)
    if world.first:
        table[num_shards] = stored.write_tensors(temporary / manifest.SERVER, server)
    return table


def _settled(final: Path, round_index: int, meta: dict[str, Any], metrics: str) -> bool:
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        record = Manifest(round_index, manifest.read(final).files, meta)
        _prepare(final.parent, temporary)
        for path in final.iterdir():
            if path.name not in (manifest.METRICS, manifest.MANIFEST):
                os.link(path, temporary / path.name)
        record.files.update(manifest.write_metrics(temporary, metrics))
        _publish(temporary, final, record)
    except DAMAGE:  # told by the save that follows, if that meets it, too
        _remove(temporary)
        return False
    return True


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
                stored.verify(path, record, name)
        except DAMAGE:
            continue
        return f"the newest intact checkpoint is {path}"
    return "there is no earlier checkpoint"


def _prune(folder: Path, round_index: int, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints up to `round_index`.

    Later rounds are a damaged future that a restart fell back from: they go too, else they would
    push intact ones out.
    """
    found = [round_of(path) for path in _finished(folder)]
    keep_only(folder, [index for index in found if index <= round_index][:keep])


def keep_only(folder: Path, rounds: Iterable[int]) -> None:
    """Delete the checkpoints of all rounds but these."""
    kept = set(rounds)
    for path in _finished(folder):
        if round_of(path) in kept:
            continue
        doomed = path.with_name(f".{path.name}.tmp")  # so that a crash leaves no half checkpoint
        try:
            os.replace(path, doomed)
        except OSError as error:
            log.warning("cannot delete the old checkpoint %s: %s", path, error)
        _remove(doomed)


def _finished(folder: Path) -> list[Path]:
    """Return the folders that are called after a round, newest first."""
    return [path for path in candidates(folder) if not path.name.startswith(".")]


def _remove(path: Path) -> None:
    """Delete a folder, or what somebody has put there under its name, as far as one can."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
