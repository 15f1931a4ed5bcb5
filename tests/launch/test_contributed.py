"""Contributed results: what is copied, what is read as a leaderboard, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
from runs import Lab, call, make_lab

from launch import contribute, table


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = make_lab(tmp_path_factory.mktemp("contributed"))
    assert call(lab.words("one", federation__rounds=1, method__name="zero_shot")) == 0
    return lab


@pytest.fixture
def board(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture) -> Path:
    assert contribute.main([str(lab.folder("one")), "--to", str(tmp_path / "board")]) == 0
    capsys.readouterr()
    return tmp_path / "board"


def only(board: Path) -> Path:
    [place] = board.iterdir()
    return place


def test_leaderboard_is_a_table_of_runs_without_weights(
    board: Path, lab: Lab, capsys: pytest.CaptureFixture
) -> None:
    names = {path.name for path in only(board).iterdir()}
    assert {"config.yaml", "result.json", "environment.json", "contribution.json"} <= names
    assert not names & {"images.csv", "checkpoints", "log.txt", "figures"}
    assert table.main([str(board)]) == 0
    first = capsys.readouterr()
    assert "zero_shot" in first.out and not first.err
    assert table.main([str(lab.folder("one"))]) == 0
    assert capsys.readouterr().out == first.out
    assert contribute.main([str(lab.folder("one")), "--to", str(board)]) == 0
    assert capsys.readouterr().out.startswith("there ")


def edit_seed(place: Path) -> None:
    config = place / "config.yaml"
    config.write_text(config.read_text().replace("seed: 1", "seed: 2", 1))


def edit_score(place: Path) -> None:
    body = json.loads((place / "result.json").read_text())
    body["results"][-1]["scores"]["local_mean"] = 99.0
    (place / "result.json").write_text(json.dumps(body))


def edit_card(place: Path) -> None:
    card = json.loads((place / "contribution.json").read_text())
    (place / "contribution.json").write_text(json.dumps({**card, "id": "00000000"}))


def rename(place: Path) -> None:
    place.rename(place.with_name(f"{place.name[:-8]}00000000"))


def lose(place: Path) -> None:
    (place / "clients.csv").unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit_seed, "config.yaml is not as it was contributed"),
        (edit_score, "result.json does not have the sha256 it was written with"),
        (edit_card, "contribution.json does not have the sha256 it was written with"),
        (rename, "and config.yaml makes it "),
        (lose, "clients.csv is missing"),
    ],
)
def test_what_was_edited_is_refused_by_name(
    board: Path, change, words: str, capsys: pytest.CaptureFixture
) -> None:
    change(only(board))
    assert table.main([str(board)]) == 1
    told = capsys.readouterr()
    assert "refused  " in told.err and words in told.err
    assert "(refused)" in told.out


def test_another_result_of_the_same_run_overwrites_nothing(
    board: Path, lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other"
    shutil.copytree(lab.folder("one"), other)
    text = (other / "environment.json").read_text()
    (other / "environment.json").write_text(text.replace("torch", "torch_", 1))
    before = {path: path.read_bytes() for path in only(board).iterdir()}
    assert contribute.main([str(other), "--to", str(board)]) == 1
    assert "holds another result of the run" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in only(board).iterdir()} == before


def test_unfinished_run_and_missing_folder_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 1\n")
    assert contribute.main([str(tmp_path / "run"), "--to", str(tmp_path / "to")]) == 1
    assert "has not finished" in capsys.readouterr().err
    assert contribute.main([str(tmp_path / "none"), "--to", str(tmp_path / "to")]) == 2
    assert not (tmp_path / "to").exists()
