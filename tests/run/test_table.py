"""The final table and the units in it."""

import io

import pytest
from rich.console import Console

from pfedmma_dist.run.record import MethodResult
from pfedmma_dist.run.table import duration, final_table, show, size

ZERO_SHOT = MethodResult(
    name="zero-shot", scores={"local_mean": 90.0}, trained=0, up_numbers=0, down_numbers=0,
    up_bytes=0, down_bytes=0,
)  # fmt: skip
METHOD = MethodResult(
    name="pfedmma", scores={"local_mean": 98.5, "base_mean": 97.0, "novel_mean": 94.0, "hm": 96.46,
    "hm_base_novel": 95.48}, trained=248832, up_numbers=3072, down_numbers=3072, up_bytes=12288,
    down_bytes=12288, seconds=3675.0,
)  # fmt: skip


def test_table_fits_eighty_columns_and_marks_missing_scores() -> None:
    screen = io.StringIO()
    Console(file=screen, width=80).print(final_table("caltech101", [ZERO_SHOT, METHOD]))
    lines = screen.getvalue().splitlines()
    method = next(line for line in lines if "pfedmma" in line).split()
    words = ["98.50", "97.00", "94.00", "96.46", "95.48", "248,832", "3,072", "3,072", "1:01:15"]
    assert method[1:] == words
    zero_shot = next(line for line in lines if "zero-shot" in line).split()
    assert zero_shot[1:6] == ["90.00", "–", "–", "–", "–"]
    assert any("12 KiB" in line for line in lines)


def test_show_prints_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    show("caltech101", [METHOD])
    assert "pfedmma" in capsys.readouterr().out


def test_sizes_and_durations_are_readable() -> None:
    assert [size(12), size(12288), size(3 * 2**30)] == ["12 B", "12 KiB", "3.0 GiB"]
    assert [duration(7.24), duration(75), duration(3675)] == ["7.2 s", "1:15", "1:01:15"]
