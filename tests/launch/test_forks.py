"""Runs that are forked are as independent as processes of their own, and end with the same bits."""

import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path

import pytest
import yaml
from runs import Lab, call, make_lab, outcome

from launch import forks, status, sweep
from launch.jobs import is_alive, newest, read_jobs
from launch.sweep import main
from launch.tasks import Task
from launch.workers import share_of_cores

ALONE = ["--ranks", "1", "--workers", "2"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def own_server() -> None:
    """End a server that other tests of this process have started, in their way."""
    forkserver._forkserver._stop()


def words(lab: Lab, folder: str, *rows: str, **changes: object) -> list[str]:
    """Return the words of a sweep whose rows differ in their seed."""
    text = {
        "base": [word for word in lab.words("unused", **changes) if "run.threads" not in word],
        "rows": {row: [f"seed={seed}"] for seed, row in enumerate(rows)},
    }
    (lab.path / "mine.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    return [str(lab.path / "mine.yaml"), f"run.folder={lab.path / folder}"]


def processes(folder: Path) -> dict[str, int]:
    """Return the processes of the runs that were started, by row."""
    return {run: int(job.job.split(":")[1]) for run, job in newest(read_jobs(folder)).items()}


def has_a_round(folder: Path) -> bool:
    """Whether a run has finished one."""
    metrics = folder / "metrics.csv"
    return metrics.exists() and metrics.read_text().count("\n") > 1


def once(due: Callable[[], bool], act: Callable[[], None]) -> None:
    """Act in a thread as soon as it is due, while the sweep runs in this one."""

    def wait() -> None:
        while not due():
            time.sleep(0.02)
        act()

    threading.Thread(target=wait, daemon=True).start()


def test_forked_runs_end_with_the_bits_of_a_run_of_its_own(lab: Lab) -> None:
    assert main([*words(lab, "forked", "a", "b", federation__rounds=2), *ALONE]) == 0
    assert call(lab.words("own", seed=0, federation__rounds=2)) == 0
    forked = {row: outcome(lab.path / "forked" / row) for row in "ab"}
    assert forked["a"] == outcome(lab.folder("own"))
    assert forked["a"] != forked["b"]
    assert "round 2/2" in (lab.path / "forked" / "logs" / "b.log").read_text()


def test_signal_lets_forked_runs_finish_their_round(
    lab: Lab, capsys: pytest.CaptureFixture
) -> None:
    folder, seen = lab.path / "runs", []

    def act() -> None:
        runs = {*processes(folder).values()}
        seen.append([is_alive(job) for job in read_jobs(folder)])
        server = Path("/proc", Path(f"/proc/{min(runs)}/stat").read_text().split()[3])
        blocked = int((server / "status").read_text().split("SigBlk:")[1].split()[0], 16)
        seen.append([blocked >> (number - 1) & 1 for number in forks.SIGNALS])
        seen.append(len(list((server / "task").iterdir())))
        seen.append({os.getsid(number) for number in runs} == runs)
        os.kill(os.getpid(), signal.SIGTERM)

    once(lambda: all(has_a_round(folder / row) for row in "ab"), act)
    assert main([*words(lab, "runs", "a", "b", federation__rounds=5000), *ALONE]) == 75
    # alive, the server deaf to what stops a sweep and without threads, each in its own session
    assert seen == [[True, True], [1, 1, 1], 1, True]
    for row in ("a", "b"):
        assert (
            "stopped by a signal and saved after round"
            in (folder / "logs" / f"{row}.log").read_text()
        )
        assert list((folder / row / "checkpoints").iterdir())
    capsys.readouterr()
    assert status.main([str(folder)]) == 0
    assert "2 stopped" in capsys.readouterr().out
    assert not any(map(is_alive, read_jobs(folder)))


def test_killed_fork_hurts_only_itself(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    folder = lab.path / "runs"
    once(lambda: "a" in processes(folder), lambda: os.kill(processes(folder)["a"], signal.SIGKILL))
    asked = words(lab, "runs", "a", "b", federation__rounds=1)
    assert main([*asked, "--ranks", "1"]) == 1
    told = capsys.readouterr().err
    assert f"failed: see {folder / 'logs' / 'a.log'}" in told
    assert "2/2  b  " in told
    assert main([*asked, *ALONE]) == 0


def test_what_a_forked_run_refuses_is_told(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    asked = words(lab, "runs", "a", data__root=lab.path / "nowhere")
    assert main([*asked, *ALONE]) == 1
    assert "failed: error: data.root: " in capsys.readouterr().err


def test_runs_share_the_cores_that_there_are(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    for threads, said in (("null", ["run.threads=4"]), ("3", [])):
        config = lab.path / "config.yaml"
        config.write_text(f"run:\n  threads: {threads}\n")
        assert share_of_cores(Task("a", "id", str(config)), 2) == said


def test_two_runs_of_a_rank_are_the_default_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for able in (True, False):
        monkeypatch.setattr(sweep, "can_fork", lambda able=able: able)
        told.append([sweep.processes(*said) for said in ((None, None), (3, None), (None, 3))])
    assert told == [[(1, 2), (3, 1), (1, 3)], [(2, 1), (3, 1), (1, 3)]]
