"""The files of one checkpoint and the manifest that vouches for them, byte by byte."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pfedmma_dist.run.files import plain, sync, write_json

SERVER = "server.safetensors"
MANIFEST = "manifest.json"

ENTRY = 33
"""Numbers that describe a file to the other ranks: the 32 bytes of its sha256, and its size."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint consists of."""

    round_index: int
    files: dict[
        str, dict[str, Any] | None
    ]  # name -> sha256 and bytes; None: a shard without clients
    meta: dict[str, Any]


def shard_file(shard: int) -> str:
    """Return the file name of a shard."""
    return f"shard_{shard:03d}.safetensors"


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> Tensor:
    """Write one safetensors file through to the disk; return its entry [ENTRY] int64."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, path)
    path.chmod(path.parent.stat().st_mode & 0o666)  # safetensors makes files for the owner alone
    sync(path)
    return torch.tensor([*_sha256(path), path.stat().st_size], dtype=torch.int64)


def entries(table: Tensor) -> dict[str, dict[str, Any] | None]:
    """Return the manifest's file list of the summed table [num_shards + 1, ENTRY]."""
    names = [*(shard_file(shard) for shard in range(len(table) - 1)), SERVER]
    lines = (row.tolist() for row in table)
    return {
        name: {"sha256": bytes(line[:32]).hex(), "bytes": line[32]} if line[32] else None
        for name, line in zip(names, lines, strict=True)
    }


def write(folder: Path, record: Manifest) -> None:
    """Write the manifest, once every file it names lies in `folder` at its full size."""
    for name, entry in record.files.items():
        if entry is not None and (folder / name).stat().st_size != entry["bytes"]:
            raise OSError(f"{folder / name} is not as long here as where it was written")
    body = plain(asdict(record))
    write_json(folder / MANIFEST, {"checkpoint": body, "sha256": _sha256_of(body)})


def read(folder: Path) -> Manifest:
    """Return the manifest of `folder`; ValueError or OSError where it is damaged or missing."""
    path = folder / MANIFEST
    try:
        outer = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not readable as JSON ({error})") from error
    if not isinstance(outer, dict) or outer.get("sha256") != _sha256_of(outer.get("checkpoint")):
        raise ValueError(f"{path} does not have the sha256 it was written with")
    return Manifest(**outer["checkpoint"])


def verify(folder: Path, record: Manifest, name: str) -> None:
    """Raise ValueError or OSError unless file `name` is what the manifest says."""
    path, entry = folder / name, record.files[name]
    if entry is None:
        return
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise ValueError(f"{path} has {size:,} bytes, not {entry['bytes']:,}")
    if _sha256(path).hex() != entry["sha256"]:
        raise ValueError(f"{path} does not have the sha256 it was written with")


def read_tensors(folder: Path, record: Manifest, name: str) -> dict[str, Tensor]:
    """Return the verified tensors of file `name`, {} for a shard without clients."""
    verify(folder, record, name)
    if record.files[name] is None:
        return {}
    # safetensors maps the file: a copy outlives it, and leaves nothing open when it is deleted.
    return {key: tensor.clone() for key, tensor in load_file(folder / name).items()}


def _sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(2**22):
            digest.update(chunk)
    return digest.digest()


def _sha256_of(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
