"""A sweep runs what is missing, tells what failed, and stops on request."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from runs import make_lab
from stub_programs import FAIL, FINISH, STOP, Stubs

from launch import status, workers
from launch.jobs import newest, process, read_jobs
from launch.sweep import main, only_one
from launch.workers import StopSignal


def test_failed_run_is_told_with_its_log_and_the_others_go_on(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(stubs(bad=FAIL, good=FINISH)) == 1
    told = capsys.readouterr()
    counted, first, second = told.err.splitlines()
    assert counted == "2 runs: 2 to start"
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
    first, second, total = capsys.readouterr().out.splitlines()
    assert "to run  first:  data.name=folder " in first
    assert second.endswith(f"run.folder={tmp_path / 'runs' / 'second'}")
    assert total == "2 runs: 2 to start"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--ranks", "--workers"])
@pytest.mark.parametrize("number", ["0", "many"])
def test_ranks_and_workers_are_counts(
    stubs: Stubs, capsys: pytest.CaptureFixture, option: str, number: str
) -> None:
    with pytest.raises(SystemExit):
        main([*stubs(first=FINISH), option, number])
    assert f"{option}: {number} is not 1 or more" in capsys.readouterr().err


def test_workers_run_at_the_same_time(stubs: Stubs, tmp_path: Path) -> None:
    meet = f"""
import pathlib, sys, time
pathlib.Path(sys.argv[1], "here").touch()
while len(list(pathlib.Path({str(tmp_path)!r}).glob("runs/*/here"))) < 2: time.sleep(0.02)
{FINISH}"""
    assert main([*stubs(first=meet, second=meet), "--workers", "2"]) == 0


def test_each_start_is_written_down(stubs: Stubs, tmp_path: Path) -> None:
    words = stubs(bad=FAIL, good=FINISH)
    main(words)
    main(words)
    jobs = read_jobs(tmp_path / "runs")
    assert [job.run for job in jobs] == ["bad", "good", "bad"]
    assert {job.cluster for job in jobs} == {"local"}
    assert newest(jobs)["bad"].log == str(tmp_path / "runs" / "logs" / "bad.log")


def test_run_that_cannot_be_written_down_is_not_left_alone(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object) -> None:
        raise ValueError("no room")

    started: list[subprocess.Popen] = []

    def popen(*words: object, **options: object) -> subprocess.Popen:
        started.append(original(*words, **options))
        return started[-1]

    original = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(workers, "add_jobs", full)
    assert main(stubs(first="import time; time.sleep(60)")) == 2
    assert started[0].wait(timeout=20) == -signal.SIGTERM


def test_second_sweep_of_a_folder_is_refused(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with only_one(tmp_path / "runs"):
        assert main(stubs(first=FINISH)) == 2
    assert f"{tmp_path / 'runs'} is in use by process" in capsys.readouterr().err
    assert main(stubs(first=FINISH)) == 0


def test_failed_run_on_this_machine_is_retried_there(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(stubs(bad=FAIL, good=FINISH)) == 1
    stubs(bad=FINISH)  # mended
    assert status.main([str(tmp_path / "runs"), "--retry"]) == 0
    assert "1/1  bad" in capsys.readouterr().err
    assert status.main([str(tmp_path / "runs")]) == 0
    assert "2 runs: 2 done" in capsys.readouterr().out


def test_cancel_asks_the_sweep_on_this_machine_to_stop(
    stubs: Stubs, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    main(stubs(first=FINISH))
    with only_one(tmp_path / "runs"), StopSignal() as stop:
        assert status.main([str(tmp_path / "runs"), "--cancel"]) == 0
        assert stop.count == 1
    assert f"asked process {process(os.getpid())} to stop" in capsys.readouterr().out


def test_sweep_trains_and_ends_with_a_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
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
