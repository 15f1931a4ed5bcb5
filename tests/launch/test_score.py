"""`launch.score`: what is missing is scored, what is there is left alone."""

import os
from pathlib import Path

import pytest
from recorded import record
from runs import ROOT

from launch import score
from launch.plan import plan
from launch.score import main
from pfedmma_dist.config.written import to_yaml

STUB = """
import pathlib, sys
from pfedmma_dist.results.evaluations import write_evaluation
from pfedmma_dist.run.folder import RunFolder
run, flag, *words = sys.argv[1:]
assert flag == "--cross"
if "data.name=bad" in words:
    print("error: data.name: 'bad' is unknown")
    sys.exit(2)
folder = RunFolder(run)
folder.evaluations.mkdir(exist_ok=True)
rows = [{"scores": {"cross_mean": x}} for x in (40.0, 60.0)]
name = words[0].partition("=")[2]
facts = {"data": name, "root": "data", "own": False, "domains": {}, "words": words}
body = {"cross": facts, "results": rows, "clients": {"cross": [60.0]}}
write_evaluation(folder.evaluations / f"{name}.json", folder, body)
"""

Sweep = tuple[list[str], Path]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """A sweep of two runs of which one has finished, and a stand-in for `evaluate`."""
    (tmp_path / "stand_in.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setattr(score, "PROGRAM", "stand_in")
    monkeypatch.setattr(score, "can_fork", lambda: False)
    file = tmp_path / "mine.yaml"
    sets = "[[data.name=dtd], [data.name=bad]]"
    file.write_text(f"rows: {{one: [seed=1], two: [seed=2]}}\nscore_on: {sets}\n")
    words = [str(file), f"run.folder={tmp_path / 'runs'}"]
    return words, tmp_path / "runs"


def finish(words: list[str]) -> None:
    """Leave behind what the first run of the sweep would."""
    run = plan(*words[:1], words[1:])[0]
    record(run.folder.path, {"local_mean": 50.0})
    run.folder.config.write_text(to_yaml(run.config))


def test_finished_runs_are_scored_once_and_failures_are_told_with_their_log(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    words, folder = sweep
    finish(words)
    assert main([*words, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out == "one on data.name=dtd\none on data.name=bad\n"
    assert "2 evaluations: 2 to do" in err and "1 of 2 runs have not finished" in err
    (folder / "sweep.csv").write_text("id,row,folder\n0,one,one\n1,two,two\n")
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "one on data.name=bad" in err and "failed: error: data.name: 'bad' is unknown" in err
    assert str(folder / "logs" / "one-on-1.log") in err
    assert "Data set by data set" in out and "60.00" in out
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out == "one on data.name=bad\n"  # the other is there


def test_sweep_without_sets_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plain.yaml").write_text("rows: {one: [seed=1]}\n")
    assert main([str(tmp_path / "plain.yaml")]) == 2
    assert (
        "score_on names no data set; write score_on: [[data.name=dtd]]" in capsys.readouterr().err
    )
