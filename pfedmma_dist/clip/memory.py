"""A feature cache in memory: files that lose their names before they get their room.

A name is there only while the ranks of a host open the empty file. Whatever kills the ranks, the
memory is freed with the last of them. (Passing descriptors through /proc/<pid>/fd would do without
a name, but containers may forbid it among ranks that share /dev/shm all the same.)
"""

import fcntl
import logging
import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from pfedmma_dist.clip.storage import ABSENT, GIB, Buffer, extend, mapped, need, open_all, remove
from pfedmma_dist.config.keys import CacheMode, ClipConfig

log = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")

ABANDONED = 3 * 3600.0
"""Seconds after which a name belongs to no live run: ranks wait two hours for each other at most,
and names are there between two such waits only."""

NEW = 60.0
"""Seconds in which a file that has no name yet may still be on its way to its lock."""


class MemoryStorage:
    """Files in shared memory that every rank of the host has opened and nobody can find."""

    place = "ram"

    def __init__(self, alone: bool, leads: bool) -> None:
        """alone: the run has one rank. leads: this rank does the host's file work."""
        # runs of one rank may share a MASTER_PORT that a batch script exports to all of them
        job = os.environ.get("MASTER_PORT", "") + os.environ.get("TORCHELASTIC_RUN_ID", "")
        name = os.getpid() if alone or not job else job
        # the host: nodes of one machine, as in a test cluster, share their memory
        self.work = SHARED_MEMORY / f"{_prefix()}{socket.gethostname()}-{name}"
        self.leads = leads
        self.names: list[Path] = []
        self.locks: list[int] = []  # descriptors; whoever can take one finds a dead run's name
        self.files: dict[str, BinaryIO] = {}
        self.filled: dict[str, Buffer] = {}

    def look(self, sizes: Mapping[str, int], part: slice) -> str:
        """Say that nothing is there: nothing in memory outlives its run."""
        return ABSENT

    def clear(self) -> None:
        """Remove what runs of earlier versions left when they were killed."""
        if self.leads:
            sweep()

    def check_room(self, num_bytes: int) -> None:
        """Leave it to `fits_memory`, which has looked."""

    def create(self, sizes: Mapping[str, int]) -> None:
        """Make empty files, where this rank leads."""
        if self.leads:
            for path in self._paths(sizes).values():
                remove(path)  # of a run that was killed just here
                self.names.append(path)
                self.locks.append(_locked(path))

    def open(self, sizes: Mapping[str, int]) -> None:
        """Open the files while they have names; ValueError where this rank sees another memory."""
        try:
            self.files = open_all(self._paths(sizes))
        except FileNotFoundError as error:
            raise ValueError(
                f"clip.cache: ranks of host {socket.gethostname()} do not see each other's files "
                f"in {SHARED_MEMORY}; let their containers share it, or set clip.cache=disk"
            ) from error

    def extend(self, sizes: Mapping[str, int]) -> None:
        """Take the names away, and only then the memory, where this rank leads."""
        if self.leads:
            self._forget()
            extend(self.files, sizes, SHARED_MEMORY)

    def buffers(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Map the files."""
        self.filled = {
            name: mapped(file, sizes[name], shared=True) for name, file in self.files.items()
        }
        return self.filled

    def digests(self, sizes: Mapping[str, int], part: slice) -> list[bytes]:
        """Return none: nobody reads the files again."""
        return []

    def publish(self, sizes: Mapping[str, int], digests: list[bytes], words: dict) -> None:
        """Leave the files nameless."""

    def finished(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Return the files as they are mapped."""
        return self.filled

    def close(self) -> None:
        """Close the files; remove the names that a failure has left."""
        self._forget()
        for file in self.files.values():
            file.close()

    def _forget(self) -> None:
        while self.names:
            self.names.pop().unlink(missing_ok=True)
        while self.locks:
            os.close(self.locks.pop())

    def _paths(self, sizes: Mapping[str, int]) -> dict[str, Path]:
        return {name: self.work.with_name(f"{self.work.name}-{name}") for name in sizes}


def _locked(path: Path) -> int:
    """Make an empty file that is locked from the moment it has its name; return its descriptor."""
    nameless = path.with_name(f".{path.name}")
    remove(nameless)
    descriptor = os.open(nameless, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(nameless, path)
    return descriptor


def _is_abandoned(path: Path) -> bool:
    """Whether a file is empty and no live run holds it."""
    if not path.is_file() or path.stat().st_size:
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def fits_memory(cfg: ClipConfig, num_bytes: int) -> bool:
    """Decide between RAM and disk; raise ValueError where it must be RAM and has no room."""
    room = allowed(cfg)
    if cfg.cache is CacheMode.ram and num_bytes > room:
        raise ValueError(
            f"clip.cache: ram, but {need(num_bytes)}; clip.cache_memory is {cfg.cache_memory:g} "
            f"GiB, and {room / GIB:.2f} GiB of it are free in {SHARED_MEMORY}; raise "
            "clip.cache_memory, set clip.cache_dtype=bfloat16, or clip.cache=auto"
        )
    return cfg.cache is not CacheMode.disk and num_bytes <= room


def allowed(cfg: ClipConfig) -> float:
    """Return the bytes of shared memory that are allowed and free."""
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    return min(cfg.cache_memory * GIB, 0.9 * free)


def sweep() -> None:
    """Remove the names that killed runs of this user left, and the memory that they may hold.

    An empty file is a dead run's where nobody has locked it. Earlier versions filled files that had
    names: such a one goes once it is old.
    """
    names = (path for dot in ("", ".") for path in SHARED_MEMORY.glob(f"{dot}{_prefix()}*"))
    for path in names:
        try:
            inside = [path, *(path.iterdir() if path.is_dir() else ())]
            stats = [item.lstat() for item in inside]
            age = time.time() - max(stat.st_mtime for stat in stats)
            is_new = path.name.startswith(".") and age < NEW
            if age < ABANDONED and (is_new or not _is_abandoned(path)):
                continue
            remove(path)
        except (FileNotFoundError, PermissionError):
            continue  # another run sweeps too, or another user took a name of ours
        num_bytes = sum(stat.st_blocks for stat in stats) * 512
        log.info("feature cache: removed %s (%.2f GiB) of a killed run", path, num_bytes / GIB)


def _prefix() -> str:
    """Return the beginning of all names of this user's runs."""
    return f"pfedmma-{os.getuid()}-"
