"""The command line of tables: which folders it takes, in which forms it answers."""

import csv
import io
from pathlib import Path

import pytest
from recorded import plan, record, three

from launch.table import main


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Return a sweep of two rows: three finished seeds, and one of three."""
    rows = []
    for name, locals_ in {"a row": (60, 62, 64), "b row": (70, None, None)}.items():
        for seed, local in enumerate(locals_, start=1):
            path = tmp_path / "sweep" / f"{name[0]}-{seed}"
            scores = None if local is None else three(local, 50, 40)
            record(path, scores, config={"seed": seed}, sent=3072, trained=39936)
            rows.append({"row": name, "folder": path.name, "seed": seed})
    return plan(tmp_path / "sweep", rows)


def answer(words: list[object], capsys: pytest.CaptureFixture) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_sweep_has_a_line_per_row_and_a_cost_table(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    lines = answer([sweep], capsys).splitlines()
    assert cells(lines[4])[:3] == ["a row", "62.00 ± 2.00", "50.00 ± 0.00"]
    assert cells(lines[5])[:2] == ["b row", "70.00†"]
    assert cells(lines[5])[-1] == "1 of 3"
    assert cells(lines[11]) == ["a row", "39,936", "3,072", "3,072", "12 KiB", "12 KiB", "3"]


def test_row_without_a_result_is_shown_as_missing(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    (sweep / "b-1" / "result.json").unlink()
    lines = answer([sweep], capsys).splitlines()
    assert cells(lines[5]) == ["b row", "–", "–", "–", "–", "0 of 3"]


def test_sweeps_and_runs_stand_in_one_table_and_no_run_twice(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = record(tmp_path / "alone", three(55, 50, 40))
    text = answer([sweep, other, sweep / "a-1", "--format", "csv"], capsys)
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["column"] == "local_mean"]
    assert [(row["method"], row["n"]) for row in rows] == [
        ("a row", "3"), ("b row", "1"), ("tuned", "1"),
    ]  # fmt: skip


def test_latex_is_tables_for_booktabs(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    text = answer([sweep, "--format", "latex"], capsys)
    assert text.count(r"\begin{tabular}") == text.count(r"\bottomrule") == 2


def test_papers_figures_are_an_option(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    assert "(paper)" not in answer([sweep], capsys)
    assert "pFedMMA (paper)" in answer([sweep, "--paper"], capsys)  # its costs


@pytest.mark.parametrize("format_", ["markdown", "csv", "latex"])
def test_result_without_its_configuration_still_has_a_line(
    format_: str, sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    (sweep / "a-1" / "config.yaml").unlink()
    assert "a row" in answer([sweep, "--format", format_], capsys)


def refused(words: list[object], capsys: pytest.CaptureFixture) -> str:
    assert main([str(word) for word in words]) == 2
    return capsys.readouterr().err


def test_folder_of_neither_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert refused([tmp_path], capsys) == (
        f"error: {tmp_path} is neither a run (no config.yaml) nor a sweep (no sweep.csv)\n"
    )


@pytest.mark.parametrize("left", [".lock", "submitit/1.yaml"], ids=["killed", "queued"])
def test_run_that_has_not_begun_is_passed_over(
    left: str, sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "waits" / left
    file.parent.mkdir(parents=True)
    file.touch()
    assert main([str(sweep), str(tmp_path / "waits")]) == 0
    assert capsys.readouterr().err == f"skipped  {tmp_path / 'waits'} holds no run yet\n"


def test_folder_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert refused([tmp_path / "no"], capsys).startswith("error: there is no folder ")


def test_folder_of_runs_is_refused_with_the_words_that_name_them(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    record(tmp_path / "run", three(50, 50, 50))
    assert f"name the runs in it: {tmp_path}/*" in refused([tmp_path], capsys)


def test_damaged_result_is_named_and_counts_as_missing(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    (sweep / "a-2" / "result.json").write_text('{"results": [{}]}')
    assert main([str(sweep)]) == 1
    told = capsys.readouterr()
    assert f"damaged  {sweep / 'a-2' / 'result.json'} holds a row without scores" in told.err
    assert "| 2 of 3 |" in told.out
