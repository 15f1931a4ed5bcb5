"""Folders of format 0, recorded with the last program that wrote no number, keep working.

The finished run and the stopped one have the same configuration; the sweep has one run that was
never started.
"""

import json
import shutil
from pathlib import Path

import pytest
from runs import call

from launch import status, table
from launch.books import read_plan
from launch.plan import plan
from launch.sweep import states_of
from pfedmma_dist import evaluate
from pfedmma_dist.reading import FORMAT
from pfedmma_dist.run.metrics import read_metrics

RECORDED = Path(__file__).parent / "format_0"
STOPPED = "glyphs-fedpgp-3c296cf6"
WORDS = [
    "method.name=fedpgp", "method.num_context=4", "data.num_clients=3", "data.shots=2",
    "data.train_per_class=4", "data.test_per_class=2", "federation.rounds=3",
    "run.checkpoint_every=1", "run.threads=1",
]  # fmt: skip
SWEEP = """
base: [configs/data/glyphs_base_to_novel.yaml, {}]
rows:
  FedPGP: [configs/method/glyphs/fedpgp.yaml, method.num_context=4]
  Zero-shot: [configs/method/glyphs/zero_shot.yaml]
grid: {{seed: [1, 2]}}
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the recorded runs below runs/."""
    shutil.copytree(RECORDED, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def close(one: Path, other: Path) -> None:
    """Compare what metrics.csv says of scores and losses; processors round as they like.

    other: of format 0, which has fewer columns.
    """
    found, wanted = (read_metrics(folder / "metrics.csv") for folder in (one, other))
    for name in wanted:
        if name in ("round", "loss") or name.endswith("_percent"):
            assert found[name] == pytest.approx(wanted[name], rel=1e-4, nan_ok=True)


def test_same_command_goes_on_in_the_folder_of_a_stopped_run(runs: Path) -> None:
    assert call(WORDS) == 0
    assert sorted(path.name for path in runs.iterdir()) == sorted(["finished", "sweep", STOPPED])
    close(runs / STOPPED, RECORDED / "finished")
    body = json.loads((runs / STOPPED / "result.json").read_text())
    assert body["format"] == FORMAT
    assert body["configuration"]["method.name"] == "fedpgp"


def test_stopped_run_is_refused_to_another_configuration(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*WORDS, f"run.folder={runs / STOPPED}", "optim.lr=0.5"]) == 2
    assert "optim.lr: 0.002 there, 0.5 here" in capsys.readouterr().err


def test_state_that_has_lost_its_configuration_is_refused(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / STOPPED / "config.yaml").unlink()
    assert call([*WORDS, f"run.folder={runs / STOPPED}", "seed=2"]) == 2
    assert "does not say whose it is; restore that file" in capsys.readouterr().err


def test_finished_run_shows_its_result_and_can_be_scored_again(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call([*WORDS, "run.folder=runs/finished"]) == 0
    assert "56.13" in capsys.readouterr().out
    assert evaluate.main(["runs/finished", "run.threads=1"]) == 0
    assert "56.13" in capsys.readouterr().out


def test_sweep_is_tabulated_and_its_missing_run_is_missed(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table.main(["runs/sweep", "runs/finished"]) == 0
    out = capsys.readouterr().out
    assert "56.56 ± 0.61" in out
    assert "1 of 2" in out
    assert status.main(["runs/sweep"]) == 0
    assert "4 runs: 3 done, 1 missing" in capsys.readouterr().out


def test_sweep_of_today_takes_up_the_runs_of_format_0(runs: Path) -> None:
    base = [word for word in WORDS if not word.startswith("method.")]
    Path("sweep.yaml").write_text(SWEEP.format(", ".join(base)))
    planned = plan("sweep.yaml", ["run.folder=runs/sweep"])
    states = states_of(runs / "sweep", planned)
    assert [state.state for state in states] == ["done", "done", "done", "missing"]
    recorded = {row["folder"]: row["id"] for row in read_plan(runs / "sweep")}
    assert all(recorded[run.name] in run.ids for run in planned)
