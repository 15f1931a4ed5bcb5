"""The final table and the units in it."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from pfedmma_dist.quantities.units import duration, size
from pfedmma_dist.run.record import MethodResult
from pfedmma_dist.run.table import _heading, _shown, final_table, show

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


DOMAINS = ("photo", "clipart", "sketch", "quickdraw", "painting", "infograph")


def shifted(domains: Sequence[str]) -> list[MethodResult]:
    """Return rows of a run over these domains, every number as wide as it gets."""
    scores = {f"domain_{name}_mean": 100.0 for name in domains}
    scores = {"local_mean": 100.0, "local_worst_decile": 99.0, **scores, "global_mean": 100.0}
    return [replace(row, scores=scores) for row in (ZERO_SHOT, METHOD)]


def headings(keys: Iterable[str]) -> dict[str, str]:
    """Return key in result.json -> heading of the scores worth a column."""
    return {quantity.key: _heading(quantity) for quantity in _shown(keys)}


def test_columns_follow_the_scores_that_there_are() -> None:
    local = ["local_mean", "local_worst_decile", "local_std"]
    harmonic = ["base_mean", "novel_mean", "hm", "hm_base_novel"]
    assert list(headings([*local, *harmonic])) == ["local_mean", *harmonic]
    assert list(headings([*local, "global_mean", "global_std"])) == [*local[:2], "global_mean"]
    assert headings([*local, "global_mean", "domain_photo_mean", "domain_infograph_mean"]) == {
        "local_mean": "Local",
        "domain_photo_mean": "photo",
        "domain_infograph_mean": "infog-\nraph",
        "global_mean": "Global",
    }


@pytest.mark.parametrize("count", [2, 9])
def test_names_are_never_read_as_markup(capsys: pytest.CaptureFixture[str], count: int) -> None:
    show("mine", shifted([f"[/{n}]" for n in range(count)]))
    told = capsys.readouterr().out
    assert all(f"[/{n}]" in told for n in range(count))


def test_six_domains_fit_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show("glyphs", shifted(DOMAINS))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    method = next(line for line in lines if "pfedmma" in line).split()
    assert method[1:] == ["100.00"] * 8 + ["248,832", "3,072", "3,072", "1:01:15"]


def test_domains_that_do_not_fit_get_a_table_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"hospital {index}" for index in range(12)]
    show("scans", shifted(names))
    text = capsys.readouterr().out.splitlines()
    assert max(map(len, text)) <= 100
    lines = [line.split() for line in text]
    assert ["hospital", "11", "100.00", "100.00"] in lines
    assert ["pfedmma", *["100.00"] * 2, "248,832", "3,072", "3,072", "1:01:15"] in lines


def test_show_prints_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    show("caltech101", [METHOD])
    assert "pfedmma" in capsys.readouterr().out


def test_sizes_and_durations_are_readable() -> None:
    assert [size(12), size(12288), size(3 * 2**30)] == ["12 B", "12 KiB", "3.0 GiB"]
    assert [duration(7.24), duration(75), duration(3675)] == ["7.2 s", "1:15", "1:01:15"]
