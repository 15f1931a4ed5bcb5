"""The benchmark of a GPU is one command, and on a CPU it is a small one."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_benchmark_of_a_device_prints_its_three_tables(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import gpu

    monkeypatch.setattr(gpu, "TIMED", 1)
    gpu.main(["--small", "--device", "cpu"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| method", *["| lora"] * 4, *["| promptfl"] * 4,
        "| experiment", "| base_to_novel", "| method", *["| pfedmma"] * 2,
    ]  # fmt: skip
    assert all("0.0e+00 | 0.00 points" in row for row in rows[-2:])  # a CPU beside itself
