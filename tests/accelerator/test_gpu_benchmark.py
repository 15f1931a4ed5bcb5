"""The benchmark of a GPU is one command, and on a CPU it is a small one."""

import argparse
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from graphs import graphs
from life import module
from pretend import CUDA, pretended
from tiny import tokenize

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.config.choices import Dtype

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the benchmark, of one timed step."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import gpu

    monkeypatch.setattr(gpu, "TIMED", 1)
    return gpu


def test_benchmark_of_a_device_prints_its_three_tables(
    gpu: ModuleType, capsys: pytest.CaptureFixture
) -> None:
    gpu.main(["--small", "--device", "cpu"])
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| method", *["| lora"] * 4, *["| promptfl"] * 4,
        "| experiment", "| base_to_novel", "| method", *["| pfedmma"] * 2,
    ]  # fmt: skip
    assert all("0.0e+00 | 0.00 points" in row for row in rows[-2:])  # a CPU beside itself
    assert any(line.startswith("Left out") and "CUDA graphs" in line for line in lines)


def test_benchmark_times_a_step_as_a_graph_beside_the_plain_one(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = argparse.Namespace(model="tiny", device="cuda", classes=4, batch=2)
    form = gpu.one_step.Form(Dtype.float32, False, 2)
    with pretended() as places, graphs(places):
        clip = freeze(module(), tokenize, CUDA, torch.float32)
        monkeypatch.setattr(gpu.one_step, "frozen", lambda *words: clip)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
        plain = gpu.one_step.step_of("promptfl", form, sizes)
        took, gap = gpu.graphed(plain, "promptfl", form, sizes)
        assert float(took) > 0 and gap == "0.0e+00"
        drawn = gpu.graphed(gpu.one_step.step_of("proda", form, sizes), "proda", form, sizes)
        assert drawn == ("not recorded", "–")
