"""How far the runs of a sweep are: what the run folders, jobs.csv and the queue say together."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launch.attempts import Attempts, read_record
from launch.jobs import Job, host_of, is_alive, launcher, newest, process, read_jobs
from launch.pace import pace
from launch.slurm import Queued, queued
from pfedmma_dist.quantities.quantity import Place
from pfedmma_dist.quantities.sampled import sample_words
from pfedmma_dist.quantities.scores import scored
from pfedmma_dist.quantities.units import UNITS
from pfedmma_dist.reading import Unreadable
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.result import altered, read

STATES = ("done", "running", "pending", "failed", "stopped", "missing", "unknown")
"""In the order of the total. stopped: by a signal or a cancellation, to be gone on with. missing:
never submitted. unknown: Slurm does not answer, or another machine runs it."""

BUSY = ("running", "pending")
"""States of runs that must not be started again."""

OVER = ("failed", "stopped")
"""States of runs that have to be started again to go on."""

START = re.compile(r"submitit INFO .* Starting with ")
ERROR = re.compile(r"^(?:\[rank ?\d+\]:? )?(?:error|[\w.]+Error): .*", re.MULTILINE)
STOP = re.compile(r"stopped by (?:a signal|run\.pause_after) .*")
CANCELLED = re.compile(r"CANCELLED AT \S+(?= \*\*\*)")
SLURM = re.compile(r"^(?:slurmstepd|srun): error: .*", re.MULTILINE)
GIVEN_UP = re.compile(r"given up; .*")
CODE = "ended with exit code"
"""In the error of `launch.job.Run`, which says nothing that the lines before did not."""
UNTOLD = "without a word of why"


@dataclass(frozen=True)
class RunState:
    """One run of a sweep."""

    run: str
    id: str
    state: str
    job: Job | None
    note: str = ""  # how far it is, or why it is not


def read_states(folder: Path, runs: Mapping[str, str]) -> tuple[list[RunState], str]:
    """Return the state of runs, and why Slurm could not be asked, where it had to be.

    folder: of the sweep. runs: folder of the run -> id.
    """
    # In this order: a run that is not in the queue any more has written its result by now.
    jobs = newest(read_jobs(folder))
    working = launcher(folder) not in (None, process(os.getpid()))
    queue, trouble = _queue(folder, jobs)
    states = []
    for run, name in runs.items():
        job = jobs.get(run)
        if RunFolder(folder / run).result.exists():
            try:
                states.append(RunState(run, name, "done", job, outcome(folder / run)))
            except Unreadable as error:
                states.append(RunState(run, name, "failed", job, f"error: {error}"))
            continue
        state, note = _unfinished(folder, job, queue, working)
        states.append(RunState(run, name, state, job, note))
    return states, trouble


def _queue(folder: Path, jobs: Mapping[str, Job]) -> tuple[dict[str, Queued] | None, str]:
    """Return what is queued; None, and why, where that is not known. Without need, ask nobody."""
    if not any(
        not job.is_local and not RunFolder(folder / run).result.exists()
        for run, job in jobs.items()
    ):
        return {}, ""
    try:
        return queued(folder), ""
    except ValueError as error:
        return None, str(error)


def _unfinished(
    folder: Path, job: Job | None, queue: Mapping[str, Queued] | None, working: bool
) -> tuple[str, str]:
    """Return the state of a run without a result, and a note on it."""
    if job is None:
        return ("pending", "waits for its turn on this machine") if working else ("missing", "")
    if job.is_local:
        if is_alive(job):
            return "running", f"{_pace(folder, job)}, process {job.job}"
        return _ended(job) if host_of(job) == socket.gethostname() else _elsewhere(folder, job)
    if queue is None:
        return "unknown", f"job {job.job}"
    if job.job not in queue:
        return _ended(job)
    found = queue[job.job]
    if found.is_pending:
        return "pending", f"job {job.job} ({found.reason}){failures(job)}"
    return "running", f"{_pace(folder, job)}, job {job.job}"


def failures(job: Job) -> str:
    """Say how often in a row a job that waits for its next start has failed."""
    record = read_record(Attempts.of(Path(job.log).parent, job.job, 0).path)
    told = f"{record['count']} of {record['limit']}" if record else ""
    return f", failed starts in a row: {told}; see {near(job.log)}" if told else ""


def _pace(folder: Path, job: Job) -> str:
    return pace(folder / job.run, job.config, Path(job.log))


def outcome(folder: Path) -> str:
    """Return the scores of a finished run on one line."""
    result = read(RunFolder(folder))
    assert result is not None, folder
    scores = result["results"][-1]["scores"]
    damaged = altered(RunFolder(folder), result).items()
    shown = [
        f"{quantity.heading} {UNITS[quantity.unit](scores[quantity.key])}"
        for quantity in scored(scores)
        if Place.STATUS in quantity.places
    ]
    facts = result.get("scored")  # None where all are scored on everything
    sample = [f"scored on {sample_words(facts)}"] if facts else []
    told = (f"damaged: {near(str(path))} {what}" for path, what in damaged)
    return "  ".join([*shown, *sample, *told])


def _elsewhere(folder: Path, job: Job) -> tuple[str, str]:
    """Return the state of a run that another machine started, which alone knows its processes."""
    state, note = _ended(job)
    if UNTOLD not in note:
        return state, note
    far = _pace(folder, job)
    where = f"ask on host {host_of(job)}, or start the sweep again where that one is gone"
    return "unknown", f"{far}, process {job.job}; {where}"


def _ended(job: Job) -> tuple[str, str]:
    """Return how a job ended that has left no result."""
    logs = _logs(job)
    if not logs:
        return "stopped", f"before it wrote a log, job {job.job}"
    error = first_error(logs)
    if error is not None:
        return "failed", f"{error}; see {near(job.log)}"
    for pattern, state in ((STOP, "stopped"), (CANCELLED, "stopped"), (SLURM, "failed")):
        found = pattern.search(logs[0])
        if found:
            return state, f"{found.group()}; see {near(job.log)}"
    return "failed", f"{UNTOLD}; see {near(job.log)}"


def first_error(logs: list[str]) -> str | None:
    """Return the first error in the words of the ranks, rank 0's before the others'."""
    errors = [match.group() for log in logs for match in ERROR.finditer(log)]
    if not errors:
        return None
    last = GIVEN_UP.search(logs[0])
    plain = [error for error in errors if CODE not in error and not GIVEN_UP.search(error)]
    return (plain or errors)[0] + (f" ({last.group()})" if last and plain else "")


def near(path: str) -> str:
    """Return a path as seen from here, where it lies below."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _logs(job: Job) -> list[str]:
    """Return what each rank wrote since its last start, in the order of the ranks."""
    first = Path(job.log)
    names = [first.name]
    if not job.is_local:
        names = [first.name.replace("_0_log", f"_{rank}_log") for rank in range(job.ranks)]
    paths = [first.with_name(name) for name in names]
    texts = [path.read_text("utf-8", "replace") for path in paths if path.exists()]
    return [START.split(text)[-1] for text in texts]
