"""Where a feature cache lies: nameless in RAM, or on disk under the hash of what made it."""

import fcntl
import json
import logging
import os
import shutil
import socket
from pathlib import Path

from pfedmma_dist.config.keys import CacheMode, ClipConfig

log = logging.getLogger(__name__)

GIB = 2**30
SHARED_MEMORY = Path("/dev/shm")


class MemoryStorage:
    """Files in shared memory that lose their names once every rank of the host has mapped them."""

    place = "ram"

    def __init__(self, alone: bool, leads: bool) -> None:
        """alone: the run has one rank. leads: this rank does the host's file work."""
        # runs of one rank may share a MASTER_PORT that a batch script exports to all of them
        job = os.environ.get("MASTER_PORT", "") + os.environ.get("TORCHELASTIC_RUN_ID", "")
        name = os.getpid() if alone or not job else job
        # the host: nodes of one machine, as in a test cluster, share their memory
        self.work = SHARED_MEMORY / f"pfedmma-{os.getuid()}-{socket.gethostname()}-{name}"
        self.leads = leads

    def found(self) -> bool:
        """Nothing in memory outlives its run."""
        return False

    def check_room(self, num_bytes: int) -> None:
        """Leave it to `fits_memory`, which has looked."""

    def mapped(self) -> None:
        """Remove the names: the memory is freed with the last process, however it ends."""
        if self.leads:
            shutil.rmtree(self.work)

    def finished(self) -> Path | None:
        """Return where the finished files can be opened again: nowhere."""
        return None

    def close(self) -> None:
        """Remove the names that a failure before `mapped` has left."""
        if self.leads:
            shutil.rmtree(self.work, ignore_errors=True)


class DiskStorage:
    """A folder named by a key; its manifest is written last, so its presence means it is whole."""

    place = "disk"

    def __init__(self, cfg: ClipConfig, key: str, leads: bool) -> None:
        """leads: this rank does the host's file work, and waits for another run at the same key."""
        self.cfg = cfg
        self.folder = Path(cfg.cache_folder).expanduser()
        self.kept = self.folder / f"features-{key}"
        self.work = self.folder / f"features-{key}.{socket.gethostname()}.tmp"
        self.leads = leads
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # opened by all ranks, so that a folder that cannot be used is told by all of them
            self.lock = open(self.work.with_suffix(".lock"), "w")  # noqa: SIM115
            if leads:
                _lock(self.lock.fileno())
                shutil.rmtree(self.work, ignore_errors=True)  # of a run that was killed
        except OSError as error:
            raise ValueError(
                f"clip.cache_folder: {self.folder} cannot be used: {error}; point it at a disk of "
                "this host that you may write to"
            ) from error

    def found(self) -> bool:
        """Say whether an earlier run left the whole cache."""
        return (self.kept / "manifest.json").is_file()

    def check_room(self, num_bytes: int) -> None:
        """Raise ValueError where the disk is too full, saying how much it takes."""
        free = shutil.disk_usage(self.folder).free
        if num_bytes > 0.95 * free:
            raise ValueError(
                f"clip.cache_folder: {_need(num_bytes)}; {self.folder} has {free / GIB:.2f} GiB "
                f"free, and in memory {_allowed(self.cfg) / GIB:.2f} GiB are allowed and free; "
                "remove old features-* there, point clip.cache_folder at a larger disk, raise "
                "clip.cache_memory, lower data.views, or set clip.cache_dtype=bfloat16"
            )

    def mapped(self) -> None:
        """Files on disk keep their names."""

    def finished(self) -> Path | None:
        """Publish the files where this rank leads; return their folder."""
        if self.leads and self.work.is_dir():
            names = sorted(file.name for file in self.work.iterdir())
            for name in names:
                _sync(self.work / name)
            manifest = self.work / "manifest.json"
            manifest.write_text(json.dumps({"files": names}))
            _sync(manifest)
            try:
                os.replace(self.work, self.kept)
            except OSError:
                if self.found():  # another host, just now
                    shutil.rmtree(self.work)
                else:
                    shutil.rmtree(self.kept)  # it has lost its manifest
                    os.replace(self.work, self.kept)
        return self.kept

    def close(self) -> None:
        """Let the next run at the same key go on."""
        self.lock.close()


def fits_memory(cfg: ClipConfig, num_bytes: int) -> bool:
    """Decide between RAM and disk; raise ValueError where it must be RAM and has no room."""
    allowed = _allowed(cfg)
    if cfg.cache is CacheMode.ram and num_bytes > allowed:
        raise ValueError(
            f"clip.cache: ram, but {_need(num_bytes)}; clip.cache_memory is {cfg.cache_memory:g} "
            f"GiB, and {allowed / GIB:.2f} GiB of it are free in {SHARED_MEMORY}; raise "
            "clip.cache_memory, set clip.cache_dtype=bfloat16, or clip.cache=auto"
        )
    return cfg.cache is not CacheMode.disk and num_bytes <= allowed


def allocate(work: Path, sizes: dict[str, int]) -> None:
    """Make files at full length: a disk that fills up says so now, not by a crash in the middle."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        for name, size in sizes.items():
            with open(work / name, "wb") as file:
                if size and hasattr(os, "posix_fallocate"):  # not on macOS
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise ValueError(
            f"clip.cache: {_need(sum(sizes.values()))}, which {work.parent} does not give: "
            f"{error}; free some room there, lower data.views, or set clip.cache_dtype=bfloat16"
        ) from error


def _allowed(cfg: ClipConfig) -> float:
    """Return the bytes of shared memory that are allowed and free."""
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    return min(cfg.cache_memory * GIB, 0.9 * free)


def _need(num_bytes: int) -> str:
    return f"the feature cache needs {num_bytes / GIB:.2f} GiB"


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("feature cache: another run is encoding the same images; waiting for it")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _sync(path: Path) -> None:
    """Force a file onto the disk, so that a manifest never outlives what it vouches for."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
