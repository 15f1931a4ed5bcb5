"""What may become of stored features, one mishap each, done to the folder of an entry."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pfedmma_dist.reading import seal

MANIFEST = "manifest.json"


def largest(entry: Path) -> Path:
    """Return the largest file of features."""
    return max(entry.glob("*.bin"), key=lambda path: (path.stat().st_size, path.name))


def flip(path: Path, place: int | None = None) -> None:
    """Turn one bit, in the middle or at `place`."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 16
    path.write_bytes(data)


def overwrite(path: Path, start: int, stop: int, *, random: bool = False) -> None:
    """Replace some bytes by zeros, or by noise."""
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0).bytes(stop - start)
    data[start:stop] = noise if random else bytes(stop - start)
    path.write_bytes(data)


def replaced(path: Path, put: Callable[[Path], object]) -> None:
    """Put something in the place of a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    put(path)


def exchange(one: Path, other: Path) -> None:
    """Let two files swap their names."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def edit(entry: Path, change: Callable[[dict], object], *, sealed: bool = False) -> None:
    """Change what the manifest says, and give it its hash again if asked to."""
    path = entry / MANIFEST
    value = json.loads(path.read_text())
    change(value)
    if sealed:
        del value["sha256"]
        value["sha256"] = seal(value)
    path.write_text(json.dumps(value))


def put(text: str) -> Callable[[Path], object]:
    """Return what replaces the manifest by a text."""
    return lambda entry: (entry / MANIFEST).write_text(text)


MUTATIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda entry: flip(largest(entry)), "has other bytes in fork1.bin"),
    "a flipped last bit": (
        lambda entry: flip(entry / "final.bin", -1),
        "has other bytes in final.bin",
    ),
    "zeros": (
        lambda entry: overwrite(largest(entry), 9000, 20000),
        "has other bytes in fork1.bin",
    ),
    "a zeroed first page": (
        lambda entry: overwrite(largest(entry), 0, 4096),
        "has other bytes in fork1.bin",
    ),
    "random bytes": (
        lambda entry: overwrite(largest(entry), 500, 900, random=True),
        "has other bytes in fork1.bin",
    ),
    "truncated": (lambda entry: os.truncate(largest(entry), 1000), "has 1,000 bytes in fork1.bin"),
    "emptied": (lambda entry: os.truncate(largest(entry), 0), "has 0 bytes in fork1.bin"),
    "extended": (lambda entry: os.truncate(largest(entry), 99999), "has 99,999 bytes in fork1"),
    "deleted": (lambda entry: largest(entry).unlink(), "has lost fork1.bin"),
    "all deleted": (lambda entry: [p.unlink() for p in entry.glob("*.bin")], "has lost final.bin"),
    "swapped": (
        lambda entry: exchange(entry / "final.bin", entry / "fork1.bin"),
        "bytes in final.bin where 960 were written",
    ),
    "a folder in place of a file": (
        lambda entry: replaced(largest(entry), Path.mkdir),
        "something in place of fork1.bin that is no file",
    ),
    "a dead link": (
        lambda entry: replaced(largest(entry), lambda path: path.symlink_to("nowhere")),
        "has lost fork1.bin",
    ),
    "a link to itself": (
        lambda entry: replaced(largest(entry), lambda path: path.symlink_to(path.name)),
        "cannot be read",
    ),
    "a pipe": (
        lambda entry: replaced(largest(entry), os.mkfifo),
        "something in place of fork1.bin that is no file",
    ),
    "a file in place of the folder": (
        lambda entry: replaced(entry, lambda path: path.write_text("x")),
        "has no manifest.json",
    ),
    "a dead link in place of the folder": (
        lambda entry: replaced(entry, lambda path: path.symlink_to("nowhere")),
        "has no manifest.json",
    ),
    "no manifest": (lambda entry: (entry / MANIFEST).unlink(), "has no manifest.json"),
    "an empty folder": (lambda entry: replaced(entry, Path.mkdir), "has no manifest.json"),
    "a folder in place of the manifest": (
        lambda entry: replaced(entry / MANIFEST, Path.mkdir),
        "has no manifest.json",
    ),
    "a pipe in place of the manifest": (
        lambda entry: replaced(entry / MANIFEST, os.mkfifo),
        "has no manifest.json",
    ),
    "an empty manifest": (put(""), "is empty"),
    "half a manifest": (
        lambda entry: os.truncate(entry / MANIFEST, 200),
        "is not readable as JSON",
    ),
    "a broken manifest": (put("{"), "is not readable as JSON"),
    "a manifest of nothing": (put("{}"), "is of format 0, which has no digests"),
    "a list": (put("[]"), "holds a list where a dict was written"),
    "a deep list": (put("[" * 100_000), "is nested too deep"),
    "noise": (
        lambda entry: (entry / MANIFEST).write_bytes(b"\xff\xfe\x00"),
        "is no UTF-8 text",
    ),
    "a manifest of an earlier version": (
        put(json.dumps({"files": ["final.bin", "fork1.bin", "fork3.bin"]})),
        "is of format 0, which has no digests",
    ),
    "a manifest of a later version": (
        lambda entry: edit(entry, lambda value: value.update(format=99)),
        "is of format 99",
    ),
    "a manifest with another digest": (
        lambda entry: edit(entry, lambda value: value["files"]["final.bin"].update(sha256=["0"])),
        "does not have the sha256 it was written with",
    ),
    "a sealed manifest with another digest": (
        lambda entry: edit(
            entry, lambda value: value["files"]["final.bin"].update(sha256=["0"]), sealed=True
        ),
        "has other bytes in final.bin",
    ),
    "a sealed manifest with too few digests": (
        lambda entry: edit(
            entry, lambda value: value["files"]["final.bin"].update(sha256=[]), sealed=True
        ),
        "does not say what a manifest of features says",
    ),
    "a sealed manifest without a key": (
        lambda entry: edit(entry, lambda value: value.pop("key"), sealed=True),
        "does not say what a manifest of features says",
    ),
    "a sealed manifest without a file": (
        lambda entry: edit(entry, lambda value: value["files"].pop("final.bin"), sealed=True),
        "holds other files than belong into it",
    ),
    "a sealed manifest of numbers": (
        lambda entry: edit(entry, lambda value: value.update(files={"a": 1}), sealed=True),
        "does not say what a manifest of features says",
    ),
    "a sealed manifest of another key": (
        lambda entry: edit(entry, lambda value: value.update(key="0" * 20), sealed=True),
        "holds what belongs into features-00000000000000000000",
    ),
}
"""Name -> (what happens to the entry of tests/clip/noise.py's kinds, words of the warning)."""
