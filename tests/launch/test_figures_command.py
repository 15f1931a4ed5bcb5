"""The command line of figures: where they go."""

from pathlib import Path

import pytest
from recorded import plan, record, round_row, three

from launch.figures import main


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    rounds = [round_row(0, 50.0), round_row(1, 51.0)]
    record(tmp_path / "sweep" / "a", three(50, 50, 50), rounds=rounds)
    return plan(tmp_path / "sweep", [{"row": "a/b row", "folder": "a", "seed": 1}])


def test_figures_of_a_sweep_go_into_its_folder(sweep: Path) -> None:
    assert main([str(sweep)]) == 0
    assert (sweep / "figures" / "accuracy_over_rounds-glyphs-base_to_novel.svg").is_file()


def test_other_runs_need_a_folder_for_their_figures(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([str(sweep / "a")]) == 2
    assert capsys.readouterr().err.startswith("error: --out: say where the figures go")


def test_folder_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"error: there is no folder {tmp_path}/none")


def test_folder_that_cannot_be_written_is_named(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    (sweep / "file").touch()
    assert main([str(sweep), "--out", str(sweep / "file" / "out")]) == 2
    assert "error: cannot write to " in capsys.readouterr().err


def test_nothing_to_draw_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    record(tmp_path / "a", None)
    assert main([str(tmp_path / "a"), "--out", str(tmp_path / "out")]) == 1
    assert "skipped" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
