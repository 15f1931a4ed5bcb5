"""Tables look as ever unless asked otherwise, and have any quantity as a column if asked."""

import csv
import io
from pathlib import Path

import pytest
from recorded import record, three
from recorded_sweeps import record_all

from launch.table import FORMATS, main

GOLDEN = Path(__file__).parents[1] / "golden" / "default_tables"
"""Printed with `--paper` from the same recorded runs, at commit cb7c78b and again when n came
to stand beside all rows, bold to mean more than noise, and remarks to stand below."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return list(map(str, record_all(tmp_path_factory.mktemp("recorded"))))


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("kind", FORMATS)
def test_tables_of_recorded_runs_are_byte_for_byte_as_ever(
    kind: str, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = answer(capsys, *runs, "--paper", "--format", kind)
    assert text.encode() == (GOLDEN / f"{kind}.txt").read_bytes()


def test_asked_columns_stand_in_their_order_in_place_of_all_others(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    keys = "seconds,local_worst_decile,hm_base_novel,local_std,up_bytes"
    found = rows(answer(capsys, runs[0], "--columns", keys, "--format", "csv"))
    pets = {row["column"]: row for row in found if (row["data"], row["method"]) == ("pets", "a")}
    assert list(pets) == keys.split(",")
    assert [float(row["mean"]) for row in pets.values()] == [1.0, 10.0, 25.0, 5.0, 12288.0]
    assert [row["unit"] for row in pets.values()][::4] == ["seconds", "bytes"]
    assert {row["column"] for row in found} == set(keys.split(","))


def test_costs_of_rounds_are_columns_beside_scores(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    keys = "local_mean,round_seconds,total_bytes,client_down_bytes,resident_mib"
    text = answer(capsys, *runs[-2:], "--columns", keys, "--format", "csv")
    found = {row["column"]: row["mean"] for row in rows(text) if row["clients"] == "100"}
    assert [float(found[key]) for key in keys.split(",")] == [50.0, 3.0, 4000.0, 300.0, 502.0]


def test_deviation_and_seconds_have_no_best(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = answer(capsys, runs[0], "--columns", "base_mean,local_std,seconds", "--format", "csv")
    assert {row["column"] for row in rows(text) if row["best"] == "1"} == {"base_mean"}


def test_all_columns_are_those_that_some_run_has_a_number_of(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = answer(capsys, *runs[-2:], "--columns", "all", "--format", "csv")
    found = {row["column"] for row in rows(text)}
    assert {"local_mean", "global_mean", "trained", "seconds", "round_seconds"} <= found
    assert not {"hm", "gpu_mib", "loss"} & found


def test_columns_of_one_heading_go_by_their_keys(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = answer(capsys, runs[-1], "--columns", "up_numbers,client_up_bytes,trained")
    assert "up_numbers | client_up_bytes | Trained" in " | ".join(
        cell.strip() for cell in text.splitlines()[2].strip("|").split("|")
    )


def test_help_lists_every_key_with_its_unit(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = answer(capsys, *runs, "--columns", "help")
    known = {line.split()[0]: line.split()[1] for line in text.splitlines() if " draw" not in line}
    assert known["hm_base_novel"] == "percent"
    assert known["global_worst_decile"] == "percent"
    assert known["resident_mib"] == "MiB"
    assert "domain_line drawing_mean" in text


def test_unknown_column_is_refused_with_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = record(tmp_path / "a", three(60, 50, 40))
    assert main([str(run), "--columns", "local_mean,local_worst_decil"]) == 2
    told = capsys.readouterr().err
    assert "'local_worst_decil' is no quantity of these runs" in told
    assert "did you mean local_worst_decile" in told
    assert "--columns help lists them" in told


def test_key_with_a_comma_is_quoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"local_mean": 61.0, "domain_photo, old_mean": 70.0}
    run = record(tmp_path / "a", scores, config={"data.task": "feature_shift"})
    keys = 'local_mean, "domain_photo, old_mean"'
    found = rows(answer(capsys, str(run), "--columns", keys, "--format", "csv"))
    assert [row["mean"] for row in found] == ["61.0", "70.0"]
