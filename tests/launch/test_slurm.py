"""Runs on a real Slurm; skipped where there is none."""

import os
import subprocess
from pathlib import Path

import pytest
import submitit
from on_slurm import MARKS, is_over, wait_until

from launch.cluster import Cluster
from launch.job import Run, submit

pytestmark = MARKS


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that submits the stub; what it submitted is cancelled at the end."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here.parents[1]}{os.pathsep}{here}")
    jobs: list[submitit.Job] = []

    def start(deed: str, **keys: object) -> submitit.Job:
        cluster = Cluster(**{"gpus_per_rank": 0, "cpus_per_rank": 1, **keys})
        run = Run([str(tmp_path), deed], "stub_train", str(tmp_path), cluster.max_failures)
        jobs.append(submit(run, cluster, tmp_path / "log", "slurm", "test"))
        return jobs[-1]

    yield start
    for job in jobs:
        job.cancel(check=False)


def count(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def results(job: submitit.Job) -> list[int]:
    wait_until(lambda: count(job.paths.folder, f"{job.job_id}_*_result.pkl") == job.num_tasks)
    return job.results()


def test_each_rank_is_one_task(start, tmp_path: Path) -> None:
    assert results(start("finish", nodes=2, ranks_per_node=2)) == [0] * 4
    assert [(tmp_path / f"start-{rank}-0").read_text() for rank in range(4)] == ["4"] * 4


def test_failed_rank_is_a_failed_job(start) -> None:
    job = start("fail")
    with pytest.raises(submitit.core.utils.FailedJobError, match="exit code 2"):
        results(job)


@pytest.mark.parametrize("signals", [["USR2"], ["TERM", "USR2"]])
def test_stopped_run_saves_on_all_ranks_and_goes_on(
    start, tmp_path: Path, signals: list[str]
) -> None:
    job = start("wait", nodes=2, ranks_per_node=2)
    wait_until(lambda: count(tmp_path, "ready-*") == 4)
    for name in signals:  # the job may be gone for the second one
        subprocess.run(["scancel", "--signal", name, job.job_id], check=name == signals[0])
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
    wait_until(lambda: is_over(job.job_id))
    assert count(tmp_path, "start-*-1") == 0


def test_killed_rank_goes_back_into_the_queue(start, tmp_path: Path) -> None:
    job = start("die", ranks_per_node=2)
    assert results(job) == [0, 0]
    assert count(tmp_path, "start-1-*") == 2


def test_job_that_keeps_failing_gives_up(start, tmp_path: Path) -> None:
    job = start("crash", max_failures=2)
    wait_until(lambda: is_over(job.job_id))
    assert "error: given up; failed starts in a row: 2" in job.paths.stdout.read_text()
    assert count(tmp_path, "start-0-*") == 2
