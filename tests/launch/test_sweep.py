"""A sweep runs what is missing, tells what failed, and stops on request."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from runs import make_lab

from launch import status, workers
from launch.array import chunks
from launch.jobs import newest, process, read_jobs
from launch.sweep import main, only_one
from launch.tasks import Task
from launch.workers import StopSignal
from pfedmma_dist.run.folder import RunFolder

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

        def command(task: Task, ranks: int) -> list[str]:
            folder = RunFolder(tmp_path / "runs" / task.run)
            folder.create()
            shutil.copy(task.config, folder.config)
            return [sys.executable, "-c", programs[task.run], str(folder.path), task.config]

        monkeypatch.setattr(workers, "command", command)
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


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [(12, 5, [4, 4, 4]), (5, 5, [5]), (6, 5, [3, 3]), (3, 1, [1, 1, 1]), (0, 5, [])],
)
def test_chunks_fit_into_arrays(count: int, most: int, sizes: list[int]) -> None:
    parts = chunks(range(count), most)
    assert [len(part) for part in parts] == sizes
    assert [item for part in parts for item in part] == list(range(count))


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for a Slurm that numbers jobs, allows arrays of 5 and keeps all in its queue."""
    programs = tmp_path / "bin"
    programs.mkdir()
    queue = f"cat {programs}/queue 2>/dev/null; true"
    sbatch = f"""
cd {programs}; env > environment; echo x >> count; number=$(wc -l < count)
size=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
grep -e --array= "$1" >> arrays
for i in $(seq 0 "$size"); do echo "${{number}}_$i|PENDING|Priority|$1" >> queue; done
echo "Submitted batch job $number"
"""
    answers = {"squeue": queue, "scontrol": "echo 'MaxArraySize = 5'", "sbatch": sbatch, "srun": ""}
    for name, text in answers.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", "")  # given back as it was
    (tmp_path / "cluster.yaml").write_text("array_parallelism: 4\ngpus_per_rank: 0\n")
    return programs


def submit(stubs: Stubs, tmp_path: Path, *more: str) -> int:
    words = stubs(**{f"run{index}": FINISH for index in range(6)})
    return main([*words, "--cluster", str(tmp_path / "cluster.yaml"), *more])


def test_arrays_are_as_long_as_allowed_and_share_the_parallelism(
    stubs: Stubs, slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert submit(stubs, tmp_path) == 0
    assert (slurm / "arrays").read_text() == "#SBATCH --array=0-2%2\n" * 2
    told = capsys.readouterr().out
    assert told.startswith(
        "6 runs: 6 to start\njob     1, an array of 3\njob     2, an array of 3\n"
    )
    assert f"follow  python -m launch.status {tmp_path / 'runs'}" in told
    jobs = read_jobs(tmp_path / "runs")
    assert [job.job for job in jobs] == ["1_0", "1_1", "1_2", "2_0", "2_1", "2_2"]
    assert Path(jobs[0].log).name == "1_0_0_log.out"
    assert jobs[0].cluster == str(tmp_path / "cluster.yaml")


def test_array_sees_nothing_of_the_job_around_it(
    stubs: Stubs, slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    monkeypatch.setenv("SLURM_CONF", "here")
    submit(stubs, tmp_path)
    seen = (slurm / "environment").read_text().splitlines()
    assert [word for word in seen if word.startswith("SLURM")] == ["SLURM_CONF=here"]


def test_second_submission_takes_only_what_is_missing(
    stubs: Stubs, slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    submit(stubs, tmp_path)
    queue = (slurm / "queue").read_text().splitlines(keepends=True)
    (slurm / "queue").write_text("".join(queue[2:]))  # runs 0 and 1 have left it
    RunFolder(tmp_path / "runs" / "run0").path.mkdir()
    row = {"scores": {"local_mean": 60.0}, "trained": 1, "up_bytes": 4, "down_bytes": 4}
    (tmp_path / "runs" / "run0" / "result.json").write_text(json.dumps({"results": [row]}))
    capsys.readouterr()
    assert submit(stubs, tmp_path) == 0
    told = capsys.readouterr().out
    assert told.startswith("6 runs: 1 done, 1 to start, 4 pending\njob     3\n")
    assert newest(read_jobs(tmp_path / "runs"))["run1"].job == "3"


def test_queued_run_of_another_configuration_is_refused(
    stubs: Stubs, slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    submit(stubs, tmp_path)
    assert submit(stubs, tmp_path, "optim.lr=0.7") == 2
    assert "run0 is pending as job 1_0 with another configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words", "error"),
    [
        ("node: 2\n", [], "unknown key node"),
        ("ranks_per_node: 9\n", [], "8 shards cannot feed 9 ranks"),
        ("nodes: 1\n", ["federation.rounds=0"], "row 'run0': federation.rounds: 0 is not 1"),
        ("nodes: 1\n", ["--workers", "2"], "--workers: is for this machine"),
    ],
)
def test_mistake_is_told_before_anything_is_submitted(
    stubs: Stubs,
    slurm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    text: str,
    words: list[str],
    error: str,
) -> None:
    (tmp_path / "cluster.yaml").write_text(text)
    assert submit(stubs, tmp_path, *words) == 2
    assert error in capsys.readouterr().err
    assert not (slurm / "count").exists()
    assert not (tmp_path / "runs").exists()


def test_refusal_of_sbatch_is_told(
    stubs: Stubs, slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho invalid partition specified >&2; exit 1\n")
    assert submit(stubs, tmp_path) == 2
    assert "invalid partition specified" in capsys.readouterr().err
    assert read_jobs(tmp_path / "runs") == []


def test_refusal_of_a_later_array_leaves_the_first_one_queued(
    stubs: Stubs, slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    text = (slurm / "sbatch").read_text()
    (slurm / "sbatch").write_text(text.replace("grep", '[ "$number" -eq 1 ] || exit 1; grep', 1))
    assert submit(stubs, tmp_path) == 2
    assert "; 3 runs before it were submitted" in capsys.readouterr().err
    assert [job.job for job in read_jobs(tmp_path / "runs")] == ["1_0", "1_1", "1_2"]


def test_signal_is_obeyed_between_two_arrays(
    stubs: Stubs, slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with open(slurm / "sbatch", "a") as file:
        file.write("kill -INT $PPID\n")
    assert submit(stubs, tmp_path) == 75
    assert "stopped; the same command submits the rest" in capsys.readouterr().err
    assert [job.job for job in read_jobs(tmp_path / "runs")] == ["1_0", "1_1", "1_2"]


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
