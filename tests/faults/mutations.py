"""Damage to files: what disks, purges, careless copying and curious hands do to them."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pfedmma_dist.reading import seal

BLOCK = 512


def mutate(folder: Path, rng: random.Random) -> str:
    """Damage one file of a folder, at random, and say how. Locks hold nothing."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock")
    file, name = rng.choice(files), rng.choice(sorted(DAMAGE))
    DAMAGE[name](file, rng)
    return f"{name} {file.relative_to(folder)}"


def flip(file: Path, rng: random.Random) -> None:
    """Turn one bit over."""
    content = bytearray(file.read_bytes() or b"\0")
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def zero(file: Path, rng: random.Random) -> None:
    """Lose a block to zeros."""
    _overwrite(file, rng, bytes(BLOCK))


def scramble(file: Path, rng: random.Random) -> None:
    """Lose a block to random bytes."""
    _overwrite(file, rng, rng.randbytes(BLOCK))


def truncate(file: Path, rng: random.Random) -> None:
    """Cut the end off."""
    os.truncate(file, rng.randrange(max(1, file.stat().st_size)))


def empty(file: Path, rng: random.Random) -> None:
    """Leave nothing."""
    os.truncate(file, 0)


def delete(file: Path, rng: random.Random) -> None:
    """Remove the file."""
    file.unlink()


def extend(file: Path, rng: random.Random) -> None:
    """Write something more at the end."""
    with open(file, "ab") as opened:
        opened.write(rng.randbytes(rng.randrange(1, 99)))


def double(file: Path, rng: random.Random) -> None:
    """Have the content twice."""
    file.write_bytes(2 * file.read_bytes())


def swap(file: Path, rng: random.Random) -> None:
    """Exchange the file with another of its folder, or of its neighbour's."""
    others = sorted(path for path in file.parent.parent.rglob("*") if path.is_file())
    other = rng.choice([path for path in others if path != file] or [file])
    content = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(content)


def folder_instead(file: Path, rng: random.Random) -> None:
    """Put a folder in the place of the file."""
    file.unlink()
    file.mkdir()


def dead_link(file: Path, rng: random.Random) -> None:
    """Put a link to nowhere in the place of the file."""
    file.unlink()
    file.symlink_to("nowhere")


DAMAGE: dict[str, Callable[[Path, random.Random], None]] = {
    "flip a bit of": flip, "zero a block of": zero, "scramble a block of": scramble,
    "truncate": truncate, "empty": empty, "delete": delete, "extend": extend, "double": double,
    "swap": swap, "a folder instead of": folder_instead, "a dead link instead of": dead_link,
}  # fmt: skip


def edit_sealed(
    file: Path, change: Callable[[dict[str, Any]], None], outside: bool = False
) -> None:
    """Change a sealed JSON file by hand and seal it again.

    change: works on the content, which lies beside the seal or, in a checkpoint's manifest, under
    `checkpoint`; outside: on what lies beside the seal. A file without a format number is sealed
    as format 0 was.
    """
    value = json.loads(file.read_text())
    change(value if outside else value.get("checkpoint", value))
    if "sha256" in value:
        old = "format" not in value and "checkpoint" in value
        rest = {key: item for key, item in value.items() if key != "sha256"}
        value["sha256"] = seal(value["checkpoint"] if old else rest)
    file.write_text(json.dumps(value))


def edit_json(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file by hand, as an editor would: its seal stays as it was."""
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value, indent=2))


def _overwrite(file: Path, rng: random.Random, block: bytes) -> None:
    size = file.stat().st_size
    with open(file, "r+b") as opened:
        opened.seek(rng.randrange(max(1, size - len(block))))
        opened.write(block[:size])
