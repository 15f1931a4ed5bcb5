"""Which job runs which run of a sweep: jobs.csv, beside sweep.csv."""

import csv
import io
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pfedmma_dist.reading import Unreadable, read_rows
from pfedmma_dist.run.files import write_text_atomically, writing
from pfedmma_dist.run.folder import RunFolder

JOBS = "jobs.csv"
"""A row per start of a run; the last one of a run counts."""

REMEDY = "restore it, or cancel the jobs that are queued and delete it"

LOCAL = "local"
"""Stands for the cluster file of a run that was started on this machine."""


@dataclass(frozen=True)
class Job:
    """One row of jobs.csv."""

    run: str  # folder within that of the sweep
    id: str  # of the configuration
    job: str  # Slurm's id, or HOST:PROCESS
    cluster: str  # the cluster file, or LOCAL
    ranks: int
    config: str  # the file that the run reads: all keys, as they were when it was submitted
    log: str  # of rank 0

    @property
    def is_local(self) -> bool:
        """Whether the run was started on a machine, without Slurm."""
        return self.cluster == LOCAL


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs of a sweep's folder, oldest first."""
    names = [item.name for item in fields(Job)]
    try:
        rows = read_rows(folder / JOBS, names, REMEDY)
    except FileNotFoundError:
        return []
    for row in rows:
        if not row["ranks"].isdecimal():
            raise Unreadable(folder / JOBS, f"says that a run has {row['ranks']!r} ranks", REMEDY)
    texts = [name for name in names if name != "ranks"]
    return [Job(**{n: row[n] for n in texts}, ranks=int(row["ranks"])) for row in rows]


def newest(jobs: Iterable[Job]) -> dict[str, Job]:
    """Return the last job of each run, by run."""
    return {job.run: job for job in jobs}


def add_jobs(folder: Path, jobs: Iterable[Job]) -> None:
    """Add jobs to those of the folder, all of them or none; the caller holds the folder's lock."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([item.name for item in fields(Job)])
    writer.writerows(asdict(job).values() for job in [*read_jobs(folder), *jobs])
    with writing(folder):
        write_text_atomically(folder / JOBS, text.getvalue())


def process(number: int) -> str:
    """Return the job of a process of this machine."""
    return f"{socket.gethostname()}:{number}"


def is_alive(job: Job) -> bool:
    """Whether the process of a job lives on this machine, and still writes to the job's log."""
    number = _here(job.job)
    try:
        return number is not None and _proc(number, "fd/1").resolve() == Path(job.log).resolve()
    except OSError:
        return False


def launcher(folder: Path) -> str | None:
    """Return the process of this machine that works on a sweep's folder now, as HOST:PROCESS."""
    lock = RunFolder(folder).lock_file
    try:
        words = lock.read_text(encoding="utf-8").split()  # process N on host H
    except FileNotFoundError:
        return None
    job = f"{words[-1]}:{words[1]}" if len(words) == 5 else ""
    number = _here(job)
    try:  # the words outlive the process, and its number may be another's by now
        files = list(_proc(number, "fd").iterdir()) if number is not None else []
        return job if any(file.resolve() == lock.resolve() for file in files) else None
    except OSError:
        return None


def host_of(job: Job) -> str:
    """Return the machine that a run was started on without Slurm."""
    return job.job.rpartition(":")[0]


def _here(job: str) -> int | None:
    """Return the number of a process of this machine; None for one of another."""
    host, _, number = job.rpartition(":")
    return int(number) if host == socket.gethostname() else None


def _proc(number: int, name: str) -> Path:
    return Path("/proc", str(number), name)


@contextmanager
def only_one(folder: Path) -> Iterator[RunFolder]:
    """Keep other sweeps out of the folder of this one, which goes again unless it is to stay."""
    own = RunFolder(folder)
    try:
        with writing(folder):
            own.lock()
        yield own
    finally:
        own.release()
