"""Epsilon in tables of runs: a column of its own where some run has one."""

import csv
import io
from pathlib import Path

import pytest
from recorded import record

from launch.table import main


def test_epsilon_stands_beside_the_scores_of_runs_that_have_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "plain", {"local_mean": 80.0}, config={"method.name": "plain"})
    record(
        tmp_path / "private", {"local_mean": 70.0}, config={"method.name": "private"}, epsilon=7.5
    )
    assert main([*map(str, sorted(tmp_path.iterdir())), "--format", "csv"]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    cells = {row["method"]: row["mean"] for row in found if row["column"] == "epsilon"}
    assert cells.pop("private") == "7.5" and cells == {"plain": ""}
    assert main([str(tmp_path / "plain"), "--format", "csv"]) == 0
    assert "epsilon" not in capsys.readouterr().out
