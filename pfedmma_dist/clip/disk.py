"""A feature cache on disk, under the hash of what made it: checked when found, kept for later."""

import contextlib
import fcntl
import logging
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

from pfedmma_dist.clip import manifest
from pfedmma_dist.clip.manifest import Manifest
from pfedmma_dist.clip.memory import allowed
from pfedmma_dist.clip.storage import ABSENT, GIB, Buffer, extend, mapped, need, open_all, remove
from pfedmma_dist.config.keys import CacheMode, ClipConfig
from pfedmma_dist.reading import Unreadable

log = logging.getLogger(__name__)

PREFIX = "features-"
"""Beginning of the names of our folders and locks."""


def check_folder(cfg: ClipConfig) -> None:
    """Refuse, before there is anything to keep, a folder that features could not be written to."""
    if cfg.cache is not CacheMode.disk:
        return
    folder = Path(cfg.cache_folder).expanduser().absolute()
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        what = "may not be written to" if os.path.isdir(there) else "is no folder"
        raise ValueError(
            f"clip.cache_folder: {folder} cannot be used: {there} {what}; point it at a disk of "
            "this host that you may write to"
        )


class DiskStorage:
    """A folder named by a key. Its manifest is written last and says what belongs into it."""

    place = "disk"

    def __init__(self, cfg: ClipConfig, key: str, leads: bool) -> None:
        """leads: this rank does the host's file work, and waits for another run at the same key."""
        self.cfg, self.key = cfg, key
        self.folder = Path(cfg.cache_folder).expanduser()
        self.kept = self.folder / f"{PREFIX}{key}"
        self.work = self.folder / f"{PREFIX}{key}.{socket.gethostname()}.tmp"
        self._lock_path = self.work.with_suffix(".lock")
        self.leads = leads
        self.files: dict[str, BinaryIO] = {}
        self.held: IO[bytes] | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # opened by all ranks, so that a folder that cannot be used is told by all of them
            self.lock = _lock(self._lock_path, leads)
            if leads:
                remove(self.work)  # of a run that was killed
        except OSError as error:
            raise ValueError(
                f"clip.cache_folder: {self.folder} cannot be used: {error}; point it at a disk of "
                "this host that you may write to"
            ) from error

    def look(self, sizes: Mapping[str, int], part: slice) -> str:
        """Return "" where an earlier run left the whole cache and this part of it is intact, else
        ABSENT or what is wrong."""
        if not os.path.lexists(self.kept):
            return ABSENT
        problem = self._problem(sizes, part)
        return f"{self.kept} {problem}" if problem else ""

    def clear(self) -> None:
        """Remove damaged files, where this rank leads; say what else lies there for nothing."""
        self._let_go()
        if self.leads:
            self._tell_of_outdated()
            with contextlib.suppress(FileNotFoundError):  # or another host has done it
                os.replace(self.kept, self.work)  # at once, whoever else looks
            remove(self.work)

    def check_room(self, num_bytes: int) -> None:
        """Raise ValueError where the disk is too full, saying how much it takes."""
        free = shutil.disk_usage(self.folder).free
        if num_bytes > 0.95 * free:
            raise ValueError(
                f"clip.cache_folder: {need(num_bytes)}; {self.folder} has {free / GIB:.2f} GiB "
                f"free, and in memory {allowed(self.cfg) / GIB:.2f} GiB are allowed and free; "
                "remove old features (python -m pfedmma_dist.cache --help), point "
                "clip.cache_folder at a larger disk, raise clip.cache_memory, lower data.views, "
                "or set clip.cache_dtype=bfloat16"
            )

    def create(self, sizes: Mapping[str, int]) -> None:
        """Make the files, empty, where this rank leads."""
        if self.leads:
            self.work.mkdir()
            for name in sizes:
                (self.work / name).touch()

    def open(self, sizes: Mapping[str, int]) -> None:
        """Open the files."""
        self.files = open_all({name: self.work / name for name in sizes})

    def extend(self, sizes: Mapping[str, int]) -> None:
        """Give the files their length, where this rank leads; none is left if there is no room."""
        if self.leads:
            try:
                extend(self.files, sizes, self.folder)
            except ValueError:
                remove(self.work)
                raise

    def buffers(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Map the files, to be written to by all ranks."""
        return {name: mapped(file, sizes[name], shared=True) for name, file in self.files.items()}

    def digests(self, sizes: Mapping[str, int], part: slice) -> list[bytes]:
        """Return the digests of a part of the blocks that have been written."""
        return manifest.digests(self.work, sizes, part)

    def publish(
        self, sizes: Mapping[str, int], digests: list[bytes], words: Mapping[str, Any]
    ) -> None:
        """Give the files their place, where this rank leads. words: the rest of a Manifest."""
        if not self.leads:
            return
        for file in self.files.values():
            os.fsync(file.fileno())  # a manifest never outlives what it vouches for
        contents = manifest.contents(sizes, digests)
        manifest.write(self.work, Manifest(key=self.key, files=contents, **words))
        try:
            os.replace(self.work, self.kept)
        except OSError:
            if not self._problem(sizes, slice(0)):  # another host, just now
                remove(self.work)
            else:
                remove(self.kept)
                os.replace(self.work, self.kept)

    def finished(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Map the files that are there, and note that they were used."""
        self._hold()
        if self.leads:
            with contextlib.suppress(PermissionError):  # of another user, who sees its age
                os.utime(self.kept / manifest.NAME)
        found = {}
        for name, size in sizes.items():
            with open(self.kept / name, "rb") as file:
                found[name] = mapped(file, size, shared=False)
        return found

    def close(self) -> None:
        """Let the next run at the same key go on; `held` stays."""
        for file in self.files.values():
            file.close()
        if self.leads:
            with contextlib.suppress(FileNotFoundError, PermissionError):  # of another user
                self._lock_path.unlink()  # who waits for it sees that it is gone
        self.lock.close()

    def _tell_of_outdated(self) -> None:
        count = 0
        for path in self.folder.glob(f"{PREFIX}*/{manifest.NAME}"):
            try:
                manifest.read(path.parent)
            except manifest.Outdated:
                count += 1
            except (Unreadable, FileNotFoundError):
                pass  # told by the run that looks for it
        if count:
            log.info(
                "feature cache: %d of the entries in %s are of an earlier format and not read; "
                "python -m pfedmma_dist.cache --unused removes them", count, self.folder
            )  # fmt: skip

    def _problem(self, sizes: Mapping[str, int], part: slice) -> str:
        try:
            found = manifest.read(self.kept)
            self._hold()
        except FileNotFoundError:
            return f"has no {manifest.NAME}"
        except Unreadable as error:
            return f"has a {manifest.NAME} that {error.problem}"
        except OSError as error:
            return f"cannot be read ({error})"
        if found.key != self.key:
            return f"holds what belongs into {PREFIX}{found.key}"
        if found.sizes != sizes:
            return "holds other files than belong into it"
        return manifest.damage(self.kept, found, part)

    def _hold(self) -> None:
        """Keep `python -m pfedmma_dist.cache` from removing what this process maps."""
        self._let_go()
        self.held = open(self.kept / manifest.NAME, "rb")  # noqa: SIM115 (open while we hold it)
        fcntl.flock(self.held, fcntl.LOCK_SH)

    def _let_go(self) -> None:
        if self.held is not None:
            self.held.close()
            self.held = None


def _lock(path: Path, leads: bool) -> IO[bytes]:
    """Open a lock, and take it where this rank leads, waiting for who has it."""
    while True:
        file = open(path, "wb")  # noqa: SIM115 (open while we hold it)
        if not leads:
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("feature cache: another run is at the same images; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()  # it was removed while we waited
