"""What Slurm answers is read, and no answer is an error that says so."""

import os
from pathlib import Path

import pytest

from launch import slurm
from launch.slurm import cancel, max_array_size, queued


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes a command answer with what a shell script prints."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin:/bin")

    def answer(name: str, script: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return answer


def test_jobs_of_the_folder_are_told_from_others_with_such_numbers(answers, tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "own2"
    lines = [
        f"12_0|RUNNING|None|{own}/jobs/a b|c.sh",
        f"12_1|PENDING|JobArrayTaskLimit|{own}/jobs/a.sh",
        f"13|RUNNING|None|{other}/jobs/a.sh",
        "14|RUNNING|None|(null)",
    ]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    answers("squeue", f"cat {tmp_path}/lines")
    found = queued(own)
    assert {job: item.is_pending for job, item in found.items()} == {"12_0": False, "12_1": True}
    assert found["12_1"].reason == "JobArrayTaskLimit"


def test_size_of_arrays_is_read(answers) -> None:
    answers("scontrol", "printf 'MaxArraySize            = 5\\nMaxDBDMsgs = 20\\n'")
    assert max_array_size() == 5
    answers("scontrol", "echo 'MaxArraySize            = 0'")  # arrays are off
    assert max_array_size() == 1
    answers("scontrol", "echo nothing")
    with pytest.raises(ValueError, match="names no MaxArraySize"):
        max_array_size()


def test_many_jobs_are_cancelled_by_lines_that_fit(answers, tmp_path: Path) -> None:
    answers("scancel", f"echo $# >> {tmp_path}/said")
    cancel(f"12_{index}" for index in range(501))
    assert (tmp_path / "said").read_text() == "500\n1\n"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exec sleep 9", r"squeue took over 0 s; try later"),
        ("echo no controller >&2; exit 1", "squeue failed: no controller"),
        (None, "there is no squeue here; ask on a login node"),
    ],
)
def test_silence_of_slurm_is_told(
    answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str | None, error: str
) -> None:
    if script is None:
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    else:
        answers("squeue", script)
        monkeypatch.setattr(slurm, "SECONDS", 0.3)
    with pytest.raises(ValueError, match=error):
        queued(tmp_path)
