"""How far a sweep is follows from its folder, jobs.csv and the queue."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch import state, status
from launch.attempts import Attempts
from launch.jobs import Job, add_jobs, launcher, process
from launch.plan import PLAN
from launch.slurm import Queued
from launch.status import main
from launch.sweep import only_one
from launch.tasks import started_in

INFO = "submitit INFO (2026-11-27 23:06:27,490) - Starting with JobEnvironment(job_id=3)\n"
METRICS = "round,train_seconds,evaluate_seconds\n0,4.0,1.0\n1,3.0,2.0\n"
RUNS = ("done", "running", "pending", "failed", "stopped", "missing")


class Recorded:
    """A sweep's folder, and a queue that answers from memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queue: dict[str, Queued] = {}
        (path / PLAN).write_text("id,row,folder\n" + "".join(f"x,{run},{run}\n" for run in RUNS))
        (path / "config.yaml").write_text("federation: {rounds: 10}\n")

    def job(self, run: str, number: str, told: str | None = None, **changes: object) -> None:
        """Record a job, and what rank 0 wrote."""
        path = self.path / f"{number.replace(':', '_')}_0_log.out"
        if told is not None:
            path.write_text(told)
        row = {"cluster": "slurm/x.yaml", "ranks": 2, "log": str(path), **changes}
        job = Job(run=run, id="x", job=number, config=str(self.path / "config.yaml"), **row)
        add_jobs(self.path, [job])

    def finish(self, run: str) -> None:
        (self.path / run).mkdir()
        results = [{"scores": {"local_mean": 60.0}}]
        (self.path / run / "result.json").write_text(json.dumps({"results": results}))

    def note(self, run: str) -> tuple[str, str]:
        """Return state and note of a run."""
        ((found,), _) = state.read_states(self.path, {run: "x"})
        return found.state, found.note


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded(tmp_path)
    monkeypatch.setattr(state, "queued", lambda folder: recorded.queue)
    monkeypatch.setattr(status, "queued", lambda folder: recorded.queue)
    return recorded


def test_each_run_has_a_line_and_all_have_a_total(
    sweep: Recorded, capsys: pytest.CaptureFixture
) -> None:
    sweep.finish("done")
    (sweep.path / "running").mkdir()
    (sweep.path / "running" / "metrics.csv").write_text(METRICS)
    sweep.job("running", "7_0")
    sweep.job("pending", "7_1")
    sweep.job("failed", "7_2", INFO + "error: data.root: there is no /nowhere\n")
    sweep.job("stopped", "7_3", INFO + "stopped by a signal and saved after round 3 of 10\n")
    sweep.queue = {"7_0": Queued("RUNNING", "None"), "7_1": Queued("PENDING", "Priority")}
    assert main([str(sweep.path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "done     done     Local 60.00",
        "running  running  round 2 of 10, about 40.0 s left, job 7_0",
        "pending  pending  job 7_1 (Priority)",
        f"failed   failed   error: data.root: there is no /nowhere; see {sweep.path}/7_2_0_log.out",
        "stopped  stopped  stopped by a signal and saved after round 3 of 10; "
        f"see {sweep.path}/7_3_0_log.out",
        "missing  missing",
        "6 runs: 1 done, 1 running, 1 pending, 1 failed, 1 stopped, 1 missing",
    ]


def test_last_job_of_a_run_counts(sweep: Recorded) -> None:
    sweep.job("failed", "7", INFO + "error: no\n")
    sweep.job("failed", "8")
    sweep.queue = {"8": Queued("PENDING", "Priority")}
    assert sweep.note("failed") == ("pending", "job 8 (Priority)")


def test_job_that_waits_after_a_failed_start_says_so(sweep: Recorded) -> None:
    sweep.job("pending", "7_3", "")
    sweep.queue = {"7_3": Queued("PENDING", "BeginTime")}
    Attempts.of(sweep.path, "7_3", limit=3).begin("")
    told = "job 7_3 (BeginTime), failed starts in a row: 1 of 3; see "
    assert sweep.note("pending") == ("pending", f"{told}{sweep.path}/7_3_0_log.out")


CODE = "RuntimeError: pfedmma_dist.train ended with exit code 1; its log says why\n"
KILLED = "srun: error: node1: task 0: Killed\n"
CANCELLED = "slurmstepd: error: *** STEP 7.0 ON node1 CANCELLED AT 2026-11-27T23:06:27 ***\n"
LIMIT = "slurmstepd: error: *** JOB 7 ON node1 CANCELLED AT 2026-11-27T23 DUE TO TIME LIMIT ***\n"


@pytest.mark.parametrize(
    ("log", "found", "told"),
    [
        ("error: old\n" + INFO + "error: new\n", "failed", "error: new"),
        (INFO + "[rank 1] error: own\n" + CODE, "failed", "[rank 1] error: own"),
        (INFO + "Traceback\ntorch.OutOfMemoryError: full\n", "failed", "torch.OutOfMemoryError: "),
        (INFO + CODE, "failed", CODE.strip()),
        (INFO + KILLED, "failed", KILLED.strip()),
        (INFO + CANCELLED, "stopped", "CANCELLED AT 2026-11-27T23:06:27; see"),
        (
            INFO + CANCELLED + "stopped by a signal and saved\n",
            "stopped",
            "stopped by a signal and",
        ),
        (INFO + LIMIT, "failed", LIMIT.strip()),
        (INFO, "failed", "without a word of why"),
        (None, "stopped", "before it wrote a log"),
        (
            INFO + "error: a\nerror: given up; failed starts in a row: 3\n",
            "failed",
            "error: a (given up; failed starts in a row: 3); see",
        ),
    ],
)
def test_end_without_a_result_is_explained_by_the_log(
    sweep: Recorded, log: str | None, found: str, told: str
) -> None:
    sweep.job("failed", "7", log)
    kind, note = sweep.note("failed")
    assert (kind, note[: len(told)]) == (found, told)


def test_log_below_the_working_folder_is_named_from_there(
    sweep: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.job("failed", "7", INFO + "error: no\n")
    monkeypatch.chdir(sweep.path.parent)
    assert sweep.note("failed")[1] == f"error: no; see {sweep.path.name}/7_0_log.out"


def test_error_of_another_rank_is_found(sweep: Recorded) -> None:
    sweep.job("failed", "7_1", INFO + CODE)
    (sweep.path / "7_1_1_log.out").write_text(INFO + "[rank 1] error: data.root: lost\n")
    assert sweep.note("failed")[1].startswith("[rank 1] error: data.root: lost; see")


def test_slurm_that_does_not_answer_leaves_runs_unknown(
    sweep: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def silent(folder: Path) -> None:
        raise ValueError("squeue took over 60 s; try later")

    monkeypatch.setattr(state, "queued", silent)
    sweep.finish("done")
    assert main([str(sweep.path)]) == 0  # nothing was submitted: nobody is asked
    sweep.job("running", "7")
    assert main([str(sweep.path)]) == 0
    told = capsys.readouterr()
    assert "unknown  running  job 7\n" in told.out
    assert told.err == "unknown runs may be queued: squeue took over 60 s; try later\n"
    assert main([str(sweep.path), "--retry"]) == 2
    assert "which runs are queued is not known" in capsys.readouterr().err


def test_run_on_this_machine_is_known_by_its_process(sweep: Recorded) -> None:
    log = sweep.path / "running.log"
    log.write_text("round 1\n")
    words = [sys.executable, "-c", "input()"]
    with (
        open(log, "a") as output,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=output) as child,
    ):
        sweep.job("running", process(child.pid), cluster="local", log=str(log))
        kind, note = sweep.note("running")
        said = f"no round yet; last said: round 1, process {process(child.pid)}"
        assert (kind, note) == ("running", said)
        child.communicate(b"\n")
    assert sweep.note("running")[0] == "failed"
    sweep.job("pending", process(os.getpid()), "", cluster="local")  # a number used again
    assert sweep.note("pending")[0] == "failed"


def test_run_of_another_machine_is_unknown_until_its_log_tells_its_end(sweep: Recorded) -> None:
    sweep.job("running", "elsewhere:7", "round 1\n", cluster="local")
    kind, note = sweep.note("running")
    said = "no round yet; last said: round 1, process elsewhere:7; ask on host elsewhere, "
    assert (kind, note[: len(said)]) == ("unknown", said)
    sweep.job("running", "elsewhere:7", "stopped by a signal and saved\n", cluster="local")
    assert sweep.note("running")[0] == "stopped"


SAID = "2026-11-30 14:08:27 "
ROUND = f"{SAID}INFO round 2/10: loss 3.9"


@pytest.mark.parametrize(
    ("metrics", "said", "age", "told"),
    [
        ("", f"{SAID}INFO encoding images: 512", 0, "no round yet; last said: {}, job 7"),
        (METRICS, ROUND, 70, "round 2 of 10, about 40.0 s left, job 7"),
        (METRICS, ROUND, 80, "round 2 of 10; last said: {}, job 7"),  # 60 s, and rounds of 5 s
        (METRICS, f"{ROUND}\n{SAID}WARNING waiting for rank 1, for 40 s so far", 0,
         "round 2 of 10; last said: {}, job 7"),
    ],
)  # fmt: skip
def test_run_that_waits_says_for_what(
    sweep: Recorded, metrics: str, said: str, age: int, told: str
) -> None:
    folder = sweep.path / "running"
    folder.mkdir()
    (folder / "metrics.csv").write_text(metrics or METRICS.splitlines(keepends=True)[0])
    (folder / "log.txt").write_text(said + "\n")
    then = time.time() - age
    os.utime(folder / "log.txt", (then, then))
    sweep.job("running", "7")
    sweep.queue = {"7": Queued("RUNNING", "None")}
    assert sweep.note("running")[1] == told.format(said.splitlines()[-1])


def test_launcher_is_who_holds_the_lock(tmp_path: Path) -> None:
    assert launcher(tmp_path) is None
    with only_one(tmp_path):
        assert launcher(tmp_path) == f"{socket.gethostname()}:{os.getpid()}"
    assert launcher(tmp_path) is None


def test_retry_submits_failed_and_stopped_runs_where_they_were(
    sweep: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    cluster = sweep.path / "cluster.yaml"
    cluster.write_text("ranks_per_node: 2\n")
    calls = []

    def submit_arrays(folder: Path, tasks: list, cluster: object, file: str, *rest: object) -> list:
        calls.append(([task.run for task in tasks], cluster.num_ranks, file))
        return []

    monkeypatch.setattr(status, "submit_arrays", submit_arrays)
    monkeypatch.setattr(status, "max_array_size", lambda: 5)
    monkeypatch.setattr(status, "refuse_without_slurm", lambda: None)
    sweep.finish("done")
    for number, run in enumerate(RUNS[:5]):
        sweep.job(run, f"7_{number}", INFO + "error: no\n", cluster=str(cluster))
    sweep.queue = {f"7_{number}": Queued("PENDING", "None") for number in (1, 2)}
    assert main([str(sweep.path), "--retry"]) == 0
    assert calls == [(["failed", "stopped"], 2, str(cluster))]
    cluster.unlink()
    assert main([str(sweep.path), "--retry"]) == 2
    assert f"there is no cluster file {cluster}" in capsys.readouterr().err


def test_retry_begins_where_the_sweep_was_started(
    sweep: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    home = sweep.path / "home"
    home.mkdir()
    started_in(sweep.path).parent.mkdir()
    started_in(sweep.path).write_text(f"{home}\n")
    cluster = sweep.path / "cluster.yaml"
    cluster.write_text("ranks_per_node: 2\n")
    sweep.job("failed", "7", INFO + "error: no\n", cluster=str(cluster))
    calls = []
    monkeypatch.setattr(
        status, "_submit", lambda folder, *words: calls.append((folder, Path.cwd()))
    )
    monkeypatch.chdir(sweep.path.parent)
    assert main([sweep.path.name, "--retry"]) == 0
    assert calls == [(sweep.path, home)]
    home.rmdir()
    assert main([str(sweep.path), "--retry"]) == 2
    assert f"was started in {home}, which cannot be entered" in capsys.readouterr().err


def test_nothing_to_retry_is_said(sweep: Recorded, capsys: pytest.CaptureFixture) -> None:
    assert main([str(sweep.path), "--retry"]) == 0
    assert capsys.readouterr().out == "nothing to start again\n"


def test_cancel_ends_the_queued_jobs_of_the_sweep_alone(
    sweep: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(status, "cancel", ended.extend)
    for number, run in enumerate(RUNS[:4]):
        sweep.job(run, f"7_{number}")
    sweep.queue = {job: Queued("RUNNING", "None") for job in ("7_0", "7_2", "8", "9_0")}
    assert main([str(sweep.path), "--cancel"]) == 0
    assert ended == ["7_0", "7_2"]
    assert capsys.readouterr().out == "cancelled 7_0 7_2\n"


def test_nothing_to_cancel_is_said(sweep: Recorded, capsys: pytest.CaptureFixture) -> None:
    sweep.job("stopped", "7")
    assert main([str(sweep.path), "--cancel"]) == 0
    assert capsys.readouterr().out == "nothing is pending or running\n"


def test_folder_that_is_no_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for words in ([], ["--retry"], ["--cancel"]):
        assert main([str(tmp_path), *words]) == 2
        assert f"{tmp_path} holds no sweep.csv" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
