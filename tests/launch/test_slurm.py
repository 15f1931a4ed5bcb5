"""Runs on a real Slurm; skipped where there is none."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import submitit

from launch.cluster import Cluster
from launch.job import Run, submit


def why_no_slurm() -> str | None:
    if shutil.which("sinfo") is None:
        return "no sinfo on this machine"
    try:
        answer = subprocess.run(["sinfo", "-h"], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "sinfo does not answer"
    return None if answer.returncode == 0 else answer.stderr.strip().splitlines()[-1]


REASON = why_no_slurm()
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that submits the stub; what it submitted is cancelled at the end."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here.parents[1]}{os.pathsep}{here}")
    jobs: list[submitit.Job] = []

    def start(deed: str, **keys: object) -> submitit.Job:
        cluster = Cluster(**{"gpus_per_rank": 0, "cpus_per_rank": 1, **keys})
        run = Run([str(tmp_path), deed], "stub_train")
        jobs.append(submit(run, cluster, tmp_path / "log", "slurm", "test"))
        return jobs[-1]

    yield start
    for job in jobs:
        job.cancel(check=False)


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.3)


def count(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def results(job: submitit.Job) -> list[int]:
    wait_until(lambda: count(job.paths.folder, f"{job.job_id}_*_result.pkl") == job.num_tasks)
    return job.results()


def queued(job: submitit.Job) -> str:
    command = ["squeue", "--noheader", "--jobs", job.job_id, "--format=%T"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def test_each_rank_is_one_task(start, tmp_path: Path) -> None:
    assert results(start("finish", nodes=2, ranks_per_node=2)) == [0] * 4
    assert [(tmp_path / f"start-{rank}-0").read_text() for rank in range(4)] == ["4"] * 4


def test_failed_rank_is_a_failed_job(start) -> None:
    job = start("fail")
    with pytest.raises(submitit.core.utils.FailedJobError, match="exit code 2"):
        results(job)


@pytest.mark.parametrize("signals", [["TERM"], ["USR2"], ["TERM", "USR2"]])
def test_stopped_run_saves_on_all_ranks_and_goes_on(
    start, tmp_path: Path, signals: list[str]
) -> None:
    job = start("wait", nodes=2, ranks_per_node=2)
    wait_until(lambda: count(tmp_path, "ready-*") == 4)
    for name in signals:
        subprocess.run(["scancel", "--signal", name, job.job_id], check=True)
    assert results(job) == [0] * 4
    assert count(tmp_path, "saved-*") == 4
    assert count(tmp_path, "start-*-1") == 4


def test_time_limit_requeues_only_so_often(start, tmp_path: Path) -> None:
    job = start("wait", timeout_minutes=2, warning_seconds=100, max_requeues=0)
    with pytest.raises(submitit.core.utils.FailedJobError, match="timed-out too many times"):
        results(job)
    assert count(tmp_path, "saved-*") == 1


def test_cancelled_job_stays_cancelled(start, tmp_path: Path) -> None:
    job = start("wait", ranks_per_node=2)
    wait_until(lambda: count(tmp_path, "ready-*") == 2)
    job.cancel()
    wait_until(lambda: count(tmp_path, "saved-*") == 2)
    wait_until(lambda: queued(job) == "")
    assert count(tmp_path, "start-*-1") == 0
