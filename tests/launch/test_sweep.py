"""A sweep runs what is missing, tells what failed, and stops on request."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from runs import make_lab

from launch import sweep
from launch.plan import PlannedRun
from launch.sweep import main
from pfedmma_dist.arguments import to_yaml

FINISH = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
row = {"scores": {"local_mean": 60.0}, "trained": 1, "up_bytes": 4, "down_bytes": 4}
(folder / "result.json").write_text(json.dumps({"results": [row]}))
"""
FAIL = "print('[rank0]: Traceback'); print('error: optim.lr: too high'); raise SystemExit(2)"
STOP = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
os.kill(os.getppid(), signal.SIGINT)
time.sleep(60)
"""
Stubs = Callable[..., list[str]]


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stubs:
    """Return a maker of sweeps whose runs are what these programs do; its words for `main`."""

    def make(**programs: str) -> list[str]:
        rows = {name: [] for name in programs}
        text = yaml.safe_dump({"base": ["data.name=folder"], "rows": rows}, sort_keys=False)
        (tmp_path / "mine.yaml").write_text(text)

        def command(run: PlannedRun, ranks: int) -> list[str]:
            run.folder.create()
            run.folder.config.write_text(to_yaml(run.config))
            return [sys.executable, "-c", programs[run.row], str(run.folder.path)]

        monkeypatch.setattr(sweep, "command", command)
        return [str(tmp_path / "mine.yaml"), f"run.folder={tmp_path / 'runs'}"]

    return make


def test_failed_run_is_told_with_its_log_and_the_others_go_on(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(stubs(bad=FAIL, good=FINISH)) == 1
    told = capsys.readouterr()
    first, second = told.err.splitlines()
    log = tmp_path / "runs" / "logs" / "bad.log"
    assert first.startswith("1/2  bad ")
    assert first.endswith(f"failed: error: optim.lr: too high; see {log}")
    assert second.startswith("2/2  good ")
    assert second.endswith("Local 60.00")
    assert "| 0 of 1 |" in told.out
    assert "60.00" in told.out


def test_signal_stops_the_run_and_leaves_the_rest_for_the_next_start(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(stubs(first=FINISH, second=STOP, third=FINISH)) == 75
    told = capsys.readouterr()
    assert "1/3  first" in told.err
    assert "stopped; the same command goes on" in told.err
    assert told.out == ""
    assert not (tmp_path / "runs" / "third").exists()
    assert main(stubs(first=FAIL, second=FINISH, third=FINISH)) == 0
    assert "1/3  first    before  Local 60.00" in capsys.readouterr().err


def test_invalid_run_is_told_before_the_first_is_started(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = stubs(first=FINISH)
    assert main([*words, "federation.rounds=0"]) == 2
    assert "row 'first': federation.rounds: 0 is not 1 or more" in capsys.readouterr().err
    assert main([*words, "--ranks", "9"]) == 2
    assert "8 shards cannot feed 9 ranks" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_dry_run_prints_the_runs_and_starts_none(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = stubs(first=FINISH, second=FINISH)
    assert main(["--dry-run", *words]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "to run    first:  data.name=folder " in first
    assert second.endswith(f"run.folder={tmp_path / 'runs' / 'second'}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("ranks", ["0", "many"])
def test_ranks_are_a_count(stubs: Stubs, capsys: pytest.CaptureFixture, ranks: str) -> None:
    with pytest.raises(SystemExit):
        main([*stubs(first=FINISH), "--ranks", ranks])
    assert f"--ranks: {ranks} is not 1 or more" in capsys.readouterr().err


def test_sweep_trains_in_torchrun_and_ends_with_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    lab = make_lab(tmp_path)
    rows = {"zero-shot": ["method.name=zero_shot"], "pFedMMA": ["method.share=none"]}
    base = lab.words("unused", federation__rounds=1)
    text = yaml.safe_dump({"base": base, "rows": rows}, sort_keys=False)
    (tmp_path / "mine.yaml").write_text(text)
    words = [str(tmp_path / "mine.yaml"), f"run.folder={tmp_path / 'sweep'}", "--ranks", "1"]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert table.startswith("### folder, base to novel\n\n| Method    |")
    assert main(words) == 0  # nothing is left to do
    again = capsys.readouterr()
    assert again.out == table
    assert again.err.count(" before ") == 2
