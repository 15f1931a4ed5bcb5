"""The tensors of a checkpoint's files, written through and read back as its manifest says."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pfedmma_dist.pieces import SMALL, Parts
from pfedmma_dist.run.files import sync
from pfedmma_dist.run.manifest import METRICS, Manifest, digest_of, shard_file
from pfedmma_dist.run.shards import TABLE, parts, pieces_of


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> Tensor:
    """Write one safetensors file through to the disk; return its entry [ENTRY] int64."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, path)
    path.chmod(path.parent.stat().st_mode & 0o666)  # safetensors makes files for the owner alone
    sync(path)
    return entry_of(digest_of(path), path.stat().st_size)


def entry_of(sha256: bytes, num_bytes: int) -> Tensor:
    """Return what describes a file to the other ranks [ENTRY] int64."""
    return torch.tensor([*sha256, num_bytes], dtype=torch.int64)


def verify(folder: Path, record: Manifest, name: str) -> None:
    """Raise ValueError or OSError unless file `name` is what the manifest says."""
    path, entry = folder / name, record.files[name]
    if entry is None:
        return
    _verify_file(path, bytes.fromhex(entry["sha256"]), entry["bytes"])
    if name.startswith("shard"):
        for piece in pieces_of(path):
            _verify_file(*piece)


def read_tensors(folder: Path, record: Manifest, name: str) -> dict[str, Tensor]:
    """Return the verified tensors of file `name`."""
    verify(folder, record, name)
    # safetensors maps the file: a copy outlives it, and leaves nothing open when it is deleted.
    return {key: tensor.clone() for key, tensor in load_file(folder / name).items()}


def read_shard(folder: Path, record: Manifest, shard: int) -> dict[str, Tensor] | Parts:
    """Return the verified state of a shard, {} for one without clients; a large one stays mapped,
    to be read once and let go."""
    name = shard_file(shard)
    entry = record.files[name]
    if entry is None:
        return {}
    path, large = folder / name, entry["bytes"] > SMALL
    if not large:
        state = read_tensors(folder, record, name)
        if TABLE not in state:
            return state
    else:
        verify(folder, record, name)
    return parts(path, bytes.fromhex(entry["sha256"]), entry["bytes"])


def read_metrics(folder: Path, record: Manifest) -> str | None:
    """Return the verified table of the rounds before the checkpoint; None in format 0."""
    if METRICS not in record.files:
        return None
    verify(folder, record, METRICS)
    return (folder / METRICS).read_text(encoding="utf-8")


def _verify_file(path: Path, sha256: bytes, num_bytes: int) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    size = path.stat().st_size
    if size != num_bytes:
        raise ValueError(f"{path} has {size:,} bytes, not {num_bytes:,}")
    if digest_of(path) != sha256:
        raise ValueError(f"{path} does not have the sha256 it was written with")
