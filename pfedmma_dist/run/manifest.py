"""The manifest of a checkpoint, which vouches for its files byte by byte."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from pfedmma_dist.reading import FORMAT, Unreadable, read_json, seal, sealed
from pfedmma_dist.run.files import plain, write_json, write_text_atomically

if TYPE_CHECKING:  # who only reads what a checkpoint says does without torch
    from torch import Tensor

SERVER = "server.safetensors"
METRICS = "metrics.csv"
"""The table of the rounds before the checkpoint; format 0 has none."""

MANIFEST = "manifest.json"

NAME = re.compile(r"round_\d{6,}|\.round_\d{6,}\.old")

DAMAGE = (OSError, SafetensorError, ValueError)
"""What reading a missing, cut or altered file can raise."""

ENTRY = 33
"""Numbers that describe a file to the other ranks: the 32 bytes of its sha256, and its size."""

META: dict[str, tuple[type, ...]] = {
    "fingerprint": (str,),
    "num_shards": (int,),
    "seconds": (int, float),
    "unscored": (dict, type(None)),
}
OWNER: dict[str, tuple[type, ...]] = {
    "configuration": (dict,),
    "task": (dict,),
    "weights": (dict,),
}
"""Whose state it is; format 0 does not say."""
OPTIONAL: dict[str, tuple[type, ...]] = {"plugins": (list,), "read": (dict,)}
"""Which code made it, where that is not ours alone; which files its keys name, in digests."""

REMEDY = "restore it from a copy, or remove its folder to go on from the checkpoint before"


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint consists of, and whose it is."""

    round_index: int
    files: dict[
        str, dict[str, Any] | None
    ]  # name -> sha256 and bytes; None: a shard without clients
    meta: dict[str, Any]
    format: int = FORMAT


def candidates(folder: Path) -> list[Path]:
    """Return the folders that may hold a checkpoint, newest first, the finished before its .old."""
    paths = [path for path in folder.glob("*round_*") if NAME.fullmatch(path.name)]
    return sorted(paths, key=lambda path: (round_of(path), path.suffix != ".old"), reverse=True)


def round_of(path: Path) -> int:
    """Return the round that a folder is named after."""
    return int(re.sub(r"\D", "", path.name))


def shard_file(shard: int) -> str:
    """Return the file name of a shard."""
    return f"shard_{shard:03d}.safetensors"


def entries(table: Tensor) -> dict[str, dict[str, Any] | None]:
    """Return the manifest's file list of the summed table [num_shards + 1, ENTRY]."""
    names = [*(shard_file(shard) for shard in range(len(table) - 1)), SERVER]
    lines = (row.tolist() for row in table)
    return {
        name: _entry(bytes(line[:32]), line[32]) if line[32] else None
        for name, line in zip(names, lines, strict=True)
    }


def write_metrics(folder: Path, text: str) -> dict[str, dict[str, Any] | None]:
    """Write the table of the rounds; return its line of the file list."""
    write_text_atomically(folder / METRICS, text)
    return {METRICS: _entry(digest_of(folder / METRICS), (folder / METRICS).stat().st_size)}


def write(folder: Path, record: Manifest) -> None:
    """Write the manifest, once every file it names lies in `folder` at its full size."""
    for name, entry in record.files.items():
        if entry is not None and (folder / name).stat().st_size != entry["bytes"]:
            raise OSError(f"{folder / name} is not as long here as where it was written")
    checkpoint = {"round_index": record.round_index, "files": record.files, "meta": record.meta}
    body = plain({"format": record.format, "checkpoint": checkpoint})
    write_json(folder / MANIFEST, {**body, "sha256": seal(body)})


def read(folder: Path) -> Manifest:
    """Return the manifest of `folder`; ValueError or OSError where it is damaged or missing.

    Intact is not enough: what it says must be what we write, under the folder's own name.
    """
    path = folder / MANIFEST
    try:
        outer = read_json(path, dict, REMEDY)
    except FileNotFoundError as error:
        raise Unreadable(path, "is missing", REMEDY) from error
    if "format" in outer:
        inner = sealed(path, outer, REMEDY).get("checkpoint")
    else:
        inner = outer.get("checkpoint")
        if outer.get("sha256") != seal(inner):
            raise Unreadable(path, "does not have the sha256 it was written with", REMEDY)
    record = _record(path, inner, outer.get("format", 0))
    named = round_of(folder)
    if record.round_index != named:
        raise Unreadable(path, f"is of round {record.round_index}, not {named}", REMEDY)
    return record


def state_of(record: Manifest) -> str:
    """Return what tells the state of a checkpoint from any other: a digest of its tensors alone."""
    return seal({name: entry for name, entry in record.files.items() if name != METRICS})


def _record(path: Path, body: Any, number: int) -> Manifest:
    """Return the manifest of a JSON value that is shaped as we write it."""

    def demand(holds: bool, what: str) -> None:
        if not holds:
            raise Unreadable(path, f"holds {what} that no checkpoint of ours has", REMEDY)

    demand(isinstance(body, dict) and body.keys() == {"round_index", "files", "meta"}, "keys")
    index, files, meta = body["round_index"], body["files"], body["meta"]
    demand(type(index) is int and index > 0, f"a round {index!r}")
    kinds = {**META, **(OWNER if number else {})}
    demand(isinstance(meta, dict) and kinds.keys() == meta.keys() - OPTIONAL.keys(), "facts")
    kinds |= {key: kind for key, kind in OPTIONAL.items() if key in meta}
    for key, kind in kinds.items():
        demand(isinstance(meta[key], kind) and meta[key] is not True, f"{key}: {meta[key]!r}")
    demand(meta["num_shards"] > 0, f"num_shards: {meta['num_shards']}")
    names = {*map(shard_file, range(meta["num_shards"])), SERVER, *([METRICS] if number else [])}
    demand(isinstance(files, dict) and files.keys() == names, "files")
    demand(files[SERVER] is not None and (not number or files[METRICS] is not None), "no server")
    for name, entry in files.items():
        fits = entry is None or (
            isinstance(entry, dict)
            and entry.keys() == {"sha256", "bytes"}
            and isinstance(entry["sha256"], str)
            and type(entry["bytes"]) is int
        )
        demand(fits, f"{name}: {entry!r}")
    return Manifest(index, files, meta, number)


def _entry(digest: bytes, size: int) -> dict[str, Any]:
    return {"sha256": digest.hex(), "bytes": size}


def digest_of(path: Path) -> bytes:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(2**22):
            digest.update(chunk)
    return digest.digest()
