"""Each run of a sweep on one machine sees GPUs of its own."""

import pytest
import torch
from stub_programs import FINISH, Stubs

from launch import gpus, workers
from launch.gpus import dealt, visible
from launch.sweep import main


def test_gpus_are_those_that_torch_counts_by_the_names_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "DEVICES", ("null",))  # a driver is there
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert visible() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-a")
    assert visible() == ["3", "GPU-a"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert visible() == []
    monkeypatch.setattr(gpus, "DEVICES", ("there is no such driver",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert visible() == []


def test_workers_take_turns_with_the_gpus() -> None:
    seen = [dealt("abcd", worker, ranks=1) for worker in range(5)]
    assert [own["CUDA_VISIBLE_DEVICES"] for own in seen] == ["a", "b", "c", "d", "a"]
    pairs = [dealt("abc", worker, ranks=2)["CUDA_VISIBLE_DEVICES"] for worker in range(2)]
    assert pairs == ["a,b", "c,a"]
    assert dealt("a", 1, ranks=2) == {"CUDA_VISIBLE_DEVICES": "a"}  # shared by its ranks
    assert dealt([], 1, ranks=2) == {}


def test_runs_at_a_time_see_a_gpu_each(
    stubs: Stubs, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "visible", lambda: ["4", "5", "6", "7"])
    meet = f"""
import os, pathlib, sys, time
pathlib.Path(sys.argv[1], "gpu").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
while len(list(pathlib.Path({str(tmp_path)!r}).glob("runs/*/gpu"))) < 2: time.sleep(0.02)
{FINISH}"""
    assert main([*stubs(first=meet, second=meet), "--workers", "2"]) == 0
    found = [path.read_text() for path in (tmp_path / "runs").glob("*/gpu")]
    assert sorted(found) == ["4,5", "6,7"]  # of two ranks each
