"""Failures in a row are counted, forgiven by progress, and end the job at a limit."""

import os
from pathlib import Path

import pytest

from launch import attempts
from launch.attempts import Attempts, is_wanted, job_id


@pytest.fixture
def counted(tmp_path: Path) -> Attempts:
    return Attempts.of(tmp_path, "12_3", limit=2)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for Slurm inside element 3 of job 12; return the file of what it was asked."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID"):
        monkeypatch.setenv(name, "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    said = tmp_path / "said"
    stub(tmp_path / "squeue", "echo ${STATE:-RUNNING}")
    stub(tmp_path / "scontrol", f'echo "$@" >> {said}')
    return said


def stub(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_start_after_too_many_failures_is_refused(counted: Attempts) -> None:
    counted.begin("round_2")
    counted.begin("round_2")
    with pytest.raises(RuntimeError, match=r"given up; failed starts in a row: 2"):
        counted.begin("round_2")
    counted.begin("round_2")  # a new submission begins anew


def test_progress_forgives_failures(counted: Attempts) -> None:
    for reached in ("", "round_2", "round_4", "round_4"):
        counted.begin(reached)
    with pytest.raises(RuntimeError):
        counted.begin("round_4")


def test_job_of_an_array_is_named_by_its_element() -> None:
    assert job_id({"SLURM_JOB_ID": "14"}) == "14"
    element = {"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    assert job_id(element) == "12_3"


def test_failed_start_goes_back_into_the_queue_until_the_limit(
    counted: Attempts, slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    counted.begin("")
    assert attempts.main([str(tmp_path)]) == 0
    assert slurm.read_text() == "requeue 12_3\n"
    assert "start 1 of 2 failed; back into the queue" in capsys.readouterr().err
    counted.begin("")
    assert attempts.main([str(tmp_path)]) == 0
    assert slurm.read_text() == "requeue 12_3\n"
    assert capsys.readouterr().err == "error: given up; failed starts in a row: 2\n"


@pytest.mark.parametrize("why", ["forgiven", "cancelled"])
def test_start_that_is_over_stays_over(
    counted: Attempts, slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    counted.begin("")
    if why == "forgiven":
        counted.forgive()
    else:
        monkeypatch.setenv("STATE", "COMPLETING")
    assert attempts.main([str(tmp_path)]) == 0
    assert not slurm.exists()


@pytest.mark.parametrize(
    ("state", "wanted"), [("RUNNING", True), ("SIGNALING", True), ("COMPLETING", False)]
)
def test_job_is_wanted_until_its_end_is_decided(
    slurm: Path, monkeypatch: pytest.MonkeyPatch, state: str, wanted: bool
) -> None:
    monkeypatch.setenv("STATE", state)
    assert is_wanted() is wanted
