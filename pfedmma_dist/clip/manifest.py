"""The manifest of a feature cache on disk: what it was made of, and digests to know it again by."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pfedmma_dist.reading import FORMAT, Unreadable, read_json, seal, sealed

NAME = "manifest.json"

BLOCK = 64 * 2**20
"""Bytes under one digest: few enough to be shared among threads and ranks."""

READ = 2**20
"""Bytes read at once, so that they are hashed while they lie in the processor's own cache."""

DIGEST_BYTES = hashlib.sha256().digest_size
"""sha256 has instructions of its own in today's processors: 1.7 GiB/s in one thread where blake2b
does 0.9."""

REMEDY = "delete the folder that it lies in, and the next run makes it anew"


class Outdated(Unreadable):
    """Say that a manifest was written before features had digests."""


@dataclass(frozen=True)
class Content:
    """What a file held when it was written."""

    bytes: int
    sha256: list[str]  # of every block


@dataclass(frozen=True)
class Manifest:
    """What lies in a folder of features."""

    key: str
    about: str  # what the run that made it called it
    made_of: dict[str, str]  # all that the features depend on; `key` is a hash of it
    files: dict[str, Content]

    @property
    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file."""
        return {name: content.bytes for name, content in self.files.items()}


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of files that lie in `folder` already, and force it onto the disk."""
    body = {"format": FORMAT, "block": BLOCK, **asdict(manifest)}
    with open(folder / NAME, "w", encoding="utf-8") as file:
        json.dump({**body, "sha256": seal(body)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Manifest:
    """Return the manifest of a folder; Unreadable where it is not what `write` wrote."""
    path = folder / NAME
    if not path.is_file():  # to read a pipe would take forever
        raise FileNotFoundError(path)
    value = read_json(path, dict, REMEDY)
    if "format" not in value:
        raise Outdated(path, "is of format 0, which has no digests", REMEDY)
    match sealed(path, value, REMEDY):
        case {
            "block": int(block),
            "key": str(key),
            "about": str(about),
            "made_of": dict(made_of),
            "files": dict(files),
        } if block == BLOCK and all(map(_is_content, files.values())):
            return Manifest(
                key,
                about,
                {word: str(value) for word, value in made_of.items()},
                {name: Content(**content) for name, content in files.items()},
            )
    raise Unreadable(path, "does not say what a manifest of features says", REMEDY)


def damage(folder: Path, manifest: Manifest, part: slice = slice(None)) -> str:
    """Return in what the files differ from their manifest, or "".

    part: the blocks to look at, of those of all files; lengths are looked at in any case.
    """
    for name, content in manifest.files.items():
        try:
            found = os.stat(folder / name)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            return f"has lost {name}" if missing else f"cannot be read ({error})"
        if not stat.S_ISREG(found.st_mode):
            return f"has something in place of {name} that is no file"
        if found.st_size != content.bytes:
            return f"has {found.st_size:,} bytes in {name} where {content.bytes:,} were written"
    written = [digest for content in manifest.files.values() for digest in content.sha256]
    chosen = blocks(manifest.sizes)[part]
    try:
        read = [digest.hex() for digest in digests(folder, manifest.sizes, part)]
    except OSError as error:
        return f"cannot be read ({error})"
    compared = zip(chosen, written[part], read, strict=True)
    bad = [name for (name, _), before, now in compared if before != now]
    return f"has other bytes in {bad[0]} than were written" if bad else ""


def blocks(sizes: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return (file, where it begins) of every block of files of these sizes."""
    return [(name, start) for name, size in sizes.items() for start in range(0, size, BLOCK)]


def digests(folder: Path, sizes: Mapping[str, int], part: slice) -> list[bytes]:
    """Return the digests of a part of all blocks; threads share the work, as torch's would."""
    chosen = blocks(sizes)[part]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # hashlib does not hold the GIL
        return list(pool.map(lambda block: _digest(folder / block[0], block[1]), chosen))


def contents(sizes: Mapping[str, int], of_blocks: list[bytes]) -> dict[str, Content]:
    """Return what files of these sizes hold, given the digests of all their blocks."""
    found = {name: Content(size, []) for name, size in sizes.items()}
    for (name, _), digest in zip(blocks(sizes), of_blocks, strict=True):
        found[name].sha256.append(digest.hex())
    return found


def _digest(path: Path, start: int) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(start)
        for done in range(0, BLOCK, READ):
            digest.update(file.read(min(READ, BLOCK - done)))
    return digest.digest()


def _is_content(value: Any) -> bool:
    """Say whether a JSON value is a Content with as many digests as it has blocks."""
    match value:
        case {"bytes": int(size), "sha256": list(found), **rest}:
            return not rest and len(found) == len(blocks({"": size}))
    return False
