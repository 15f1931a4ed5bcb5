"""The run folder: the name of every file in it, and the lock of the one run that writes there."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pfedmma_dist.run.files import write_text_atomically, writing
from pfedmma_dist.run.together import together
from pfedmma_dist.world import side_by_side

if TYPE_CHECKING:  # who only reads runs does without torch
    from pfedmma_dist.world import World

log = logging.getLogger(__name__)

EVENTS = "events.out.tfevents."
"""Beginning of the names of TensorBoard's files."""


LOSSLESS = "surrogateescape"
"""What lets a lock file be read and put back, whatever it says."""

ATTEMPTS = 100
"""To lock a folder that other starts, which come to nothing, take away at the same time."""

OWN_DOT_FILE = re.compile(r"\.probe|\..+\.tmp|\.nfs\w+")
"""What a start that was cut off leaves, and NFS of a file that is deleted while it is open."""


class RunFolder:
    """Names of a run's files. `claim` keeps other runs out until `release`, which takes back all
    that this start has made unless it is to `stay`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.config = self.path / "config.yaml"  # resolved; training with it repeats the run
        self.environment = self.path / "environment.json"
        self.log = self.path / "log.txt"
        self.metrics = self.path / "metrics.csv"  # a row per round
        self.clients = self.path / "clients.csv"  # a row per client
        self.clock = self.path / "clock.csv"  # a row per client and round, where a clock runs
        self.dropped = self.path / "dropped.csv"  # a row per round whose server left clients out
        self.images = self.path / "images.csv"  # a row per image that the run uses, with a digest
        self.unfinished_scores = self.path / "scores.safetensors"  # of a round, while it is scored
        self.result = self.path / "result.json"  # its presence means finished
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"  # the state of the best round on validation images
        self.tensorboard = self.path  # TensorBoard names a run after the folder of its event files
        self.trackers = self.path / "trackers.json"  # by which ids trackers know the run
        self.wandb = self.path / "wandb"  # what that one keeps, where the run names it
        self.figures = self.path / "figures"
        self.evaluations = self.path / "evaluations"
        self.jobs = self.path / "submitit"  # logs of the launcher, there before the run
        self.lock_file = self.path / ".lock"
        self._names = {item.name for item in vars(self).values() if item != self.path}
        self._lock: IO[str] | None = None
        self._holder = ""  # what the lock file said before
        self._found: set[str] = set()  # names that were there before
        self._made: list[Path] = []  # folders that were not, from the inside to the outside
        self._stays = False

    def refuse_none(self) -> None:
        """Raise ValueError where the folder is not that of a run."""
        if not self.config.is_file():
            inside, name = self.path.parent, self.config.name  # of a file, as one completes it
            meant = f" (did you mean {inside}?)" if (inside / name).is_file() else ""
            raise ValueError(f"{self.path}: give a run folder, one with a {name}{meant}")

    def claim(self, world: World) -> None:
        """Make and lock the folder from rank 0; what hinders it is raised on every rank."""
        together(world, lambda: self._open() if world.first else None, ValueError)
        together(world, self._see, ValueError)

    def lock(self) -> None:
        """Make the folder and keep other processes out until `release` or this process's end."""
        for _ in range(ATTEMPTS):
            self._make()
            try:
                file = open(  # noqa: SIM115 (while we hold it)
                    self.lock_file, "a+", encoding="utf-8", errors=LOSSLESS, newline=""
                )
            except FileNotFoundError:  # another start has just taken the folder back
                continue
            self._refuse_second(file)
            if self._is_ours(file):
                break
            file.close()
        else:
            self.path.mkdir(parents=True, exist_ok=True)  # below /proc, say: it tells why not
            raise OSError(errno.EBUSY, "other starts come and go there", str(self.lock_file))
        self._lock = file
        file.seek(0)
        self._holder = file.read()
        self._found = {item.name for item in self.path.iterdir()}
        if not self._holder:  # nobody has held it before
            self._found.discard(self.lock_file.name)
        file.truncate(0)
        file.write(_process())
        file.flush()

    def create(self) -> None:
        """Make the folders inside, now that there is something to keep; all of it stays."""
        with writing(self.path):
            for folder in (self.checkpoints, self.figures):
                folder.mkdir(parents=True, exist_ok=True)
        self.stay()

    def stay(self, kept: bool = True) -> None:
        """Say whether `release` is to leave what this start has made."""
        self._stays = kept

    def release(self) -> None:
        """Let other processes in again; a start that came to nothing leaves all as it found it."""
        takes_back = not self._stays
        if self._lock is not None:
            with suppress(OSError):
                if takes_back:
                    self._remove_files()
            self._lock.close()
            self._lock = None
        with suppress(OSError):  # the first that is not empty, or another's by now, and all above
            for folder in self._made if takes_back else ():
                folder.rmdir()
        self._made = []

    def picture(self, name: str) -> Path:
        """Return the file of a picture."""
        return self.figures / f"{name}.png"

    def _open(self) -> None:
        with writing(self.path):
            self._refuse_strangers()
            self.lock()
            write_text_atomically(self.path / ".probe", "")
            (self.path / ".probe").unlink()

    def _make(self) -> None:
        """Make the folder, and remember which parts of its path were not there."""
        way = (self.path, *self.path.parents)
        missing = [folder for folder in way if not folder.exists()]
        self._made += [folder for folder in missing if folder not in self._made]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:  # a parent that another start took back just now
            pass
        except FileExistsError:  # the same between mkdir's refusal and its look at what is there
            if self.path.is_file():
                raise

    def _refuse_second(self, file: IO[str]) -> None:
        """Lock the open file, or say who has."""
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

    def _is_ours(self, file: IO[str]) -> bool:
        """Say whether the locked file still is the one of its name: its last owner may have
        removed it between our two steps, and a lock on a removed file keeps nobody out."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self.lock_file))
        except FileNotFoundError:
            return False

    def _remove_files(self) -> None:
        """Remove the files and folders of this start, the lock last, and while it is held."""
        assert self._lock is not None
        self._lock.seek(0)
        if self._lock.read() != _process():  # where there are no locks, another may be in
            return
        for folder in (self.checkpoints, self.figures):
            if folder.name not in self._found and folder.is_dir():
                folder.rmdir()
        for file in (self.config, self.environment, self.images, self.log, self.lock_file):
            if file.name not in self._found:
                file.unlink(missing_ok=True)
        if self.lock_file.name in self._found:
            self._lock.truncate(0)
            self._lock.write(self._holder)

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


def _process() -> str:
    """Return what a lock file says of its holder."""
    return f"process {os.getpid()} on host {socket.gethostname()}\n"
