"""Where a feature cache lies: nameless in RAM, or on disk under the hash of what made it."""

import fcntl
import json
import logging
import os
import shutil
import socket
from pathlib import Path

from pfedmma_dist.config import CacheMode, ClipConfig

log = logging.getLogger(__name__)

GIB = 2**30
SHARED_MEMORY = Path("/dev/shm")


class MemoryStorage:
    """Files in shared memory that lose their names once every rank of the host has mapped them."""

    place = "ram"

    def __init__(self) -> None:
        job = os.environ.get("MASTER_PORT", "") + os.environ.get("TORCHELASTIC_RUN_ID", "")
        self.work = SHARED_MEMORY / f"pfedmma-{os.getuid()}-{job or os.getpid()}"

    def found(self) -> bool:
        """Nothing in memory outlives its run."""
        return False

    def mapped(self) -> None:
        """Remove the names: the memory is freed with the last process, however it ends."""
        shutil.rmtree(self.work)

    def finished(self) -> Path | None:
        """Return where the finished files can be opened again: nowhere."""
        return None

    def release(self) -> None:
        """Nothing is held."""


class DiskStorage:
    """A folder named by a key; its manifest is written last, so its presence means it is whole."""

    place = "disk"

    def __init__(self, folder: Path, key: str, leads: bool) -> None:
        """leads: this rank does the host's file work, and waits for another run at the same key."""
        self.kept = folder / f"features-{key}"
        self.work = folder / f"features-{key}.{socket.gethostname()}.tmp"
        self.lock = None
        if leads:
            self.lock = open(self.work.with_suffix(".lock"), "w")  # noqa: SIM115
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("feature cache: another run is encoding the same images; waiting for it")
                fcntl.flock(self.lock, fcntl.LOCK_EX)

    def found(self) -> bool:
        """Say whether an earlier run left the whole cache."""
        return (self.kept / "manifest.json").is_file()

    def mapped(self) -> None:
        """Files on disk keep their names."""

    def finished(self) -> Path | None:
        """Publish the files where this rank leads; return their folder."""
        if self.lock is not None and not self.found():
            names = sorted(file.name for file in self.work.iterdir())
            (self.work / "manifest.json").write_text(json.dumps({"files": names}))
            os.replace(self.work, self.kept)
        return self.kept

    def release(self) -> None:
        """Let the next run at the same key go on."""
        if self.lock is not None:
            self.lock.close()


def fits_memory(cfg: ClipConfig, num_bytes: int) -> bool:
    """Decide between RAM and disk; raise ValueError where neither has room, saying how much it
    takes."""
    need = f"the feature cache needs {num_bytes / GIB:.2f} GiB"
    memory = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    allowed = min(cfg.cache_memory * GIB, 0.9 * memory)
    if cfg.cache is CacheMode.ram and num_bytes > allowed:
        raise ValueError(
            f"clip.cache: ram, but {need}; clip.cache_memory allows {cfg.cache_memory:g} GiB and "
            f"{SHARED_MEMORY} has {memory / GIB:.2f} GiB free; raise clip.cache_memory, set "
            "clip.cache_dtype=bfloat16, or clip.cache=auto"
        )
    if cfg.cache is not CacheMode.disk and num_bytes <= allowed:
        return True
    folder = Path(cfg.cache_folder).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"clip.cache_folder: {folder} cannot be made: {error}") from error
    free = shutil.disk_usage(folder).free
    if num_bytes > 0.95 * free:
        raise ValueError(
            f"clip.cache_folder: {need}; {folder} has {free / GIB:.2f} GiB free, and in memory "
            f"{allowed / GIB:.2f} GiB are allowed and free; point clip.cache_folder at a larger "
            "disk, raise clip.cache_memory, lower data.views, or set clip.cache_dtype=bfloat16"
        )
    return False


def allocate(work: Path, sizes: dict[str, int]) -> None:
    """Make files at full length: a disk that fills up says so now, not by a crash in the middle."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name, size in sizes.items():
        with open(work / name, "wb") as file:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
