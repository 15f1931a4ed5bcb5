"""Shard files of a checkpoint: rows of clients, of which only those that have changed are written.

`shard_003.safetensors` holds ids, rows and, where more rows than `SMALL` bytes belong to a shard,
the digests of the files that hold the others. These files were the shard files of earlier
checkpoints; they stand beside it under names of their own, as further links to the same bytes, so
that each checkpoint is whole and may be copied or deleted alone. Rows that have changed since count
for nothing there; a file of which more than half does so is given up, and what is left of it is
written anew. Where a file system gives no second link, all rows are.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pfedmma_dist.pieces import SMALL, Changing, Parts, Piece

MOST = 16
"""Files that a shard's rows lie in at most; beyond, the smaller half is written anew as one."""

KNOWN = 4
"""Names that are remembered of a file."""

TABLE = "pieces"
"""Tensor [m, 40] uint8 of a shard file: sha256 and size of each other file, the oldest first."""


def write(path: Path, state: Changing) -> tuple[Piece, list[Piece]]:
    """Write a shard's state through to the disk: link the files that serve again, and write the
    other rows to `path`. Return the new file, and those that are linked."""
    row_bytes = 4 * state.width
    linked = []
    if len(state.ids) * row_bytes > SMALL:
        worth = sorted(_worth(state), key=lambda one: one.num_bytes)
        worth = worth[len(worth) // 2 :] if len(worth) >= MOST else worth
        linked = [piece for piece in _in_order(state, worth) if _link(path, piece)]
    held = [piece.ids[_current(state, piece)] for piece in linked]
    own = ~np.isin(state.ids, np.concatenate([np.empty(0, np.int64), *held]))
    ids = state.ids[own]
    tensors = [
        ("ids", "I64", [len(ids)], [torch.from_numpy(ids)]),
        ("rows", "F32", [len(ids), state.width], state.chunks(ids)),
    ]
    if linked:
        table = b"".join(p.sha256 + p.num_bytes.to_bytes(8, "little") for p in linked)
        rows = torch.frombuffer(bytearray(table), dtype=torch.uint8)
        tensors.append((TABLE, "U8", [len(linked), 40], [rows]))
    digest, num_bytes = _stream(path, tensors)
    return Piece(digest, num_bytes, ids, state.stamps[own], (path,)), linked


def published(state: Changing, piece: Piece, linked: Sequence[Piece], folder: Path) -> None:
    """Let a state know where its rows lie, now that the checkpoint has its name."""
    name = piece.paths[0].name
    found = [
        replace(one, paths=(folder / piece_file(name, one.sha256), *one.paths)[:KNOWN])
        for one in linked
    ]
    state.keep([*found, replace(piece, paths=(folder / name,))])


def piece_file(name: str, sha256: bytes) -> str:
    """Return the name that another file of a shard has beside the shard file."""
    return name.replace(".", f".{sha256.hex()[:16]}.", 1)


def pieces_of(path: Path) -> list[tuple[Path, bytes, int]]:
    """Return the other files (path, sha256, bytes) that a shard file names, the oldest first."""
    table = load_file(path).get(TABLE, torch.empty(0, 40, dtype=torch.uint8))
    if table.dtype != torch.uint8 or table.dim() != 2 or table.shape[1] != 40:
        raise ValueError(f"{path} names other files in no way of ours")
    lines = [bytes(line.tolist()) for line in table]
    return [
        (path.with_name(piece_file(path.name, line[:32])), line[:32],
         int.from_bytes(line[32:], "little"))
        for line in lines
    ]  # fmt: skip


def parts(path: Path, sha256: bytes, num_bytes: int) -> Parts:
    """Return a shard's state from files that have been verified, as they lie mapped."""
    files = [*pieces_of(path), (path, sha256, num_bytes)]
    states = [load_file(file) for file, _, _ in files]
    for state in states:
        state.pop(TABLE, None)
    pieces = [
        Piece(digest, size, state["ids"].numpy().copy(), np.empty(0, np.int64), (file,))
        for (file, digest, size), state in zip(files, states, strict=True)
    ]
    return Parts(states, pieces)


def _current(state: Changing, piece: Piece) -> np.ndarray:
    """Return which rows [n] of a file are as the state has them now."""
    places = np.searchsorted(state.ids, piece.ids)
    places[places == len(state.ids)] = 0
    return (state.ids[places] == piece.ids) & (state.stamps[places] == piece.stamps)


def _worth(state: Changing) -> Iterator[Piece]:
    """Yield the files of which at least half is still current."""
    for piece in state.pieces:
        current = int(_current(state, piece).sum())
        if current and 2 * current >= len(piece.ids):
            yield piece


def _in_order(state: Changing, chosen: Sequence[Piece]) -> list[Piece]:
    return [piece for piece in state.pieces if any(piece is one for one in chosen)]


def _link(path: Path, piece: Piece) -> bool:
    """Give a file a name beside `path`; return whether it could be."""
    for known in piece.paths:
        try:
            if known.stat().st_size == piece.num_bytes:
                os.link(known, path.with_name(piece_file(path.name, piece.sha256)))
                return True
        except OSError:  # it is gone, or there are no links here
            continue
    return False


def _stream(
    path: Path, tensors: Sequence[tuple[str, str, list[int], Iterable[Tensor]]]
) -> tuple[bytes, int]:
    """Write a safetensors file through to the disk, some rows at a time; return sha256 and size.

    tensors: (name, type, shape, chunks) in the order that the library would write them in.
    """
    size_of = {"I64": 8, "F32": 4, "U8": 1}
    header, end = {}, 0
    for name, kind, shape, _ in tensors:
        begin, end = end, end + size_of[kind] * int(np.prod(shape))
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)
    digest, written = hashlib.sha256(), 0
    with open(path, "wb") as file:

        def put(data: bytes | memoryview) -> None:
            nonlocal written
            file.write(data)
            digest.update(data)
            written += len(data)

        put(len(words).to_bytes(8, "little"))
        put(words)
        for *_, chunks in tensors:
            for chunk in chunks:
                if chunk.numel():
                    put(chunk.contiguous().numpy().data.cast("B"))
        file.flush()
        os.fsync(file.fileno())
    assert written == 8 + len(words) + end
    return digest.digest(), written
