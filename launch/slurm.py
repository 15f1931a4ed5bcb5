"""Ask Slurm what is queued and what it allows. No answer is waited for without end.

squeue and scontrol alone: accounting (sacct) is off on many clusters, and slow on others.
"""

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

SECONDS = 60.0
"""How long a command of Slurm's may take; its controller has busy minutes."""

PENDING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
"""What squeue says of a job that has no nodes yet, or again."""


class Queued(NamedTuple):
    """A job in the queue."""

    state: str
    reason: str

    @property
    def is_pending(self) -> bool:
        """Whether the job has yet to start, or to start again."""
        return self.state in PENDING


def queued(folder: Path) -> dict[str, Queued]:
    """Return my jobs in the queue whose script lies below `folder`, by id: 12 or 12_3.

    The script tells them from jobs of another cluster, or of another year, with the same number.
    """
    columns = "%i|%T|%r|%o"
    lines = _ask(["squeue", "--me", "--array", "--noheader", f"--format={columns}"]).splitlines()
    found = {}
    for line in lines:
        job, state, reason, script = line.split("|", maxsplit=3)
        if Path(script).resolve().is_relative_to(folder.resolve()):
            found[job] = Queued(state, reason)
    return found


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs by their ids."""
    names = list(jobs)
    for start in range(0, len(names), 500):  # a command line has room for so many
        _ask(["scancel", *names[start : start + 500]])


def max_array_size() -> int:
    """Return how many elements one array may have."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask(["scontrol", "show", "config"]), re.M)
    if found is None:
        raise ValueError("scontrol show config names no MaxArraySize; is this a Slurm cluster?")
    return max(1, int(found.group(1)))  # it caps the index, which begins at 0; 0: no arrays at all


def _ask(command: Sequence[str]) -> str:
    """Return what a command of Slurm's prints; ValueError where there is no answer."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except FileNotFoundError as error:
        raise ValueError(f"there is no {command[0]} here; ask on a login node") from error
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{command[0]} took over {SECONDS:.0f} s; try later") from error
    if answer.returncode:
        raise ValueError(f"{command[0]} failed: {answer.stderr.strip() or answer.returncode}")
    return answer.stdout
