"""The run folder: the name of every file in it, and the lock of the one run that writes there."""

import errno
import fcntl
import logging
import os
import re
import socket
from pathlib import Path
from typing import IO

from pfedmma_dist.run.files import write_text_atomically, writing
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.world import World, side_by_side

log = logging.getLogger(__name__)

EVENTS = "events.out.tfevents."
"""Beginning of the names of TensorBoard's files."""


OWN_DOT_FILE = re.compile(r"\.probe|\..+\.tmp|\.nfs\w+")
"""What a start that was cut off leaves, and NFS of a file that is deleted while it is open."""


class RunFolder:
    """Names of a run's files. `claim` makes the folder and keeps other runs out until `release`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.config = self.path / "config.yaml"  # resolved; training with it repeats the run
        self.environment = self.path / "environment.json"
        self.log = self.path / "log.txt"
        self.metrics = self.path / "metrics.csv"  # a row per round
        self.clients = self.path / "clients.csv"  # a row per client
        self.images = self.path / "images.csv"  # a row per image that the run uses, with a digest
        self.result = self.path / "result.json"  # its presence means finished
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path  # TensorBoard names a run after the folder of its event files
        self.figures = self.path / "figures"
        self.evaluations = self.path / "evaluations"
        self.jobs = self.path / "submitit"  # logs of the launcher, there before the run
        self.lock_file = self.path / ".lock"
        self._names = {item.name for item in vars(self).values() if item != self.path}
        self._lock: IO[str] | None = None

    def create(self) -> None:
        """Make the folder and those inside it; ValueError where that is not possible, and where
        the folder belongs to something else."""
        with writing(self.path):
            self._refuse_strangers()
            for folder in (self.checkpoints, self.figures):
                folder.mkdir(parents=True, exist_ok=True)
            write_text_atomically(self.path / ".probe", "")
            (self.path / ".probe").unlink()

    def lock(self) -> None:
        """Keep other processes out of the folder until `release` or the end of this process."""
        file = open(self.lock_file, "a+", encoding="utf-8")  # noqa: SIM115 (open while we hold it)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise ValueError(
                f"run.folder: {self.path} is in use by {holder}; "
                f"wait for that run or stop it, or set another run.folder{side_by_side(holder)}"
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK):
                raise
            # Lustre without -o flock, among others: a run must not fail for want of a guard.
            log.warning("run.folder: %s: no file locks here (%s)", self.path, error.strerror)
        file.truncate(0)
        file.write(f"process {os.getpid()} on host {socket.gethostname()}\n")
        file.flush()
        self._lock = file

    def release(self) -> None:
        """Let other processes in again."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def claim(self, world: World) -> None:
        """Create and lock the folder from rank 0; what hinders it is raised on every rank."""
        try:
            together(world, lambda: self._open() if world.first else None, ValueError)
            together(world, self._see, ValueError)
        except TogetherError:
            self.release()
            raise

    def picture(self, name: str) -> Path:
        """Return the file of a picture."""
        return self.figures / f"{name}.png"

    def _open(self) -> None:
        self.create()
        with writing(self.lock_file):
            self.lock()

    def _refuse_strangers(self) -> None:
        """Refuse a folder in use that no run has locked yet: a run rewrites files of its names."""
        if not self.path.is_dir() or self.lock_file.exists():
            return
        names = {item.name for item in self.path.iterdir() if not item.name.startswith(EVENTS)}
        strangers = sorted(name for name in names - self._names if not OWN_DOT_FILE.fullmatch(name))
        if strangers:
            raise ValueError(
                f"run.folder: {self.path} holds no run, but something else ({strangers[0]}"
                f"{', ...' if len(strangers) > 1 else ''}); set run.folder to a new or empty folder"
            )

    def _see(self) -> None:
        """Refuse a folder that only the host of rank 0 can see."""
        if not self.lock_file.exists():
            raise ValueError(
                f"run.folder: {self.path.absolute()} was made by rank 0 but is not seen on host "
                f"{socket.gethostname()}; set run.folder to a file system that all hosts share"
            )
