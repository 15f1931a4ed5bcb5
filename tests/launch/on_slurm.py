"""Where there is a real Slurm, and how to wait for it."""

import shutil
import subprocess
import time
from collections.abc import Callable

import pytest


def why_no_slurm() -> str | None:
    if shutil.which("sinfo") is None:
        return "no sinfo on this machine"
    try:
        answer = subprocess.run(["sinfo", "-h"], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "sinfo does not answer"
    return None if answer.returncode == 0 else answer.stderr.strip().splitlines()[-1]


REASON = why_no_slurm()
MARKS = [pytest.mark.slurm, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.3)


def ask(*command: object) -> str:
    """Return what a command of Slurm's prints."""
    words = list(map(str, command))
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def is_over(job: str) -> bool:
    """Whether a job has left the queue."""
    command = ["squeue", "--noheader", "--jobs", job, "--format=%T"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() == ""
