"""result.json files become a table: a line per row, mean and deviation over seeds."""

import json
from pathlib import Path

import pytest

from launch.plan import PLAN
from launch.table import main


def scores(local: float, novel: float, hm: float) -> dict[str, float]:
    return {"local_mean": local, "local_std": 1.0, "novel_mean": novel, "hm": hm, "hm_other": 1.0}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Return a sweep of two rows: three finished seeds, and one of three."""
    values = {
        "a-1": scores(60, 50, 54), "a-2": scores(62, 50, 56), "a-3": scores(64, 50, 58),
        "b-1": scores(70, 40, 51),
    }  # fmt: skip
    plan = ["id,row,folder,seed"]
    plan += [f"{row}{seed},{row} row,{row}-{seed},{seed}" for seed in (1, 2, 3) for row in "ab"]
    (tmp_path / PLAN).write_text("\n".join(plan) + "\n")
    for name, own in values.items():
        cost = {"trained": 39936, "up_bytes": 12288, "down_bytes": 12288}
        results = [{"scores": scores(1, 1, 1)}, {"scores": own, **cost}]
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps({"results": results}))
    return tmp_path


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_markdown_has_mean_and_sample_deviation(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(sweep)]) == 0
    head, rule, first, second, _, *note = capsys.readouterr().out.splitlines()
    assert cells(head) == ["Method", "Local", "Novel", "HM", "n", "Trained", "Up", "Down"]
    assert cells(rule)[0].strip("-") == ""
    assert len(rule) == len(head)
    assert cells(first) == [
        "a row", "62.00 ± 2.00", "50.00 ± 0.00", "56.00 ± 2.00", "3", "39,936", "12 KiB", "12 KiB",
    ]  # fmt: skip
    assert cells(second)[1:5] == ["70.00", "40.00", "51.00", "1 of 3"]
    assert "sample standard deviation" in note[0]


def test_csv_has_plain_numbers(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(sweep), "--format", "csv"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.startswith("method,local_mean,local_mean_deviation,novel_mean,")
    assert first == "a row,62.0,2.0,50.0,0.0,56.0,2.0,3,3,39936,12288,12288"
    assert second == "b row,70.0,,40.0,,51.0,,1,3,39936,12288,12288"


def test_row_without_a_result_is_shown_as_missing(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    (sweep / "b-1" / "result.json").unlink()
    assert main([str(sweep)]) == 0
    line = capsys.readouterr().out.splitlines()[3]
    assert cells(line) == ["b row", "–", "–", "–", "0 of 3", "–", "–", "–"]


def test_grid_keys_other_than_the_seed_have_lines_of_their_own(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    (sweep / PLAN).write_text(
        "id,row,folder,seed,data.beta\n1,a,a-1,1,0.1\n2,a,a-2,2,0.1\n3,a,a-3,1,0.5\n"
    )
    assert main([str(sweep)]) == 0
    first, second = capsys.readouterr().out.splitlines()[2:4]
    assert cells(first)[:2] == ["a, data.beta=0.1", "61.00 ± 1.41"]
    assert cells(second)[:2] == ["a, data.beta=0.5", "64.00"]


def test_domains_are_columns_by_their_names(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    own = {"local_mean": 60.0, "local_worst_decile": 50.0, "domain_photo_mean": 61.0}
    row = {"scores": own, "trained": 1, "up_bytes": 4, "down_bytes": 4}
    (sweep / PLAN).write_text("id,row,folder\n1,a,a-1\n")
    (sweep / "a-1" / "result.json").write_text(json.dumps({"results": [row]}))
    assert main([str(sweep)]) == 0
    head, rule = capsys.readouterr().out.splitlines()[:2]
    assert cells(head)[:4] == ["Method", "Local", "Photo", "n"]
    assert cells(rule)[3] == "--:"  # a lone colon would be no rule


def test_folder_that_is_no_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path} holds no sweep.csv; give the folder of a sweep\n"
    )
