"""Whole runs on a real Slurm, disturbed in every way, end with the bits of an undisturbed one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from on_slurm import MARKS, ask, is_over, wait_until
from runs import ROOT, Lab, call, make_lab, outcome

from launch import job, status, sweep
from launch.jobs import newest, read_jobs
from pfedmma_dist.run.folder import RunFolder

pytestmark = MARKS
LONG = {
    "federation__rounds": 100,  # some seconds, in which a run can be disturbed
    "federation__num_shards": 4,
    "run__checkpoint_every": 50,
}
SHORT = LONG | {"federation__rounds": 8}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab with undisturbed runs of one rank in it, `long` and `short`."""
    made = make_lab(tmp_path_factory.mktemp("lab"))
    assert call(made.words("long", **LONG)) == 0
    assert call(made.words("short", **SHORT)) == 0
    return made


@pytest.fixture(autouse=True)
def tidy(monkeypatch: pytest.MonkeyPatch):
    """Give back the variables that a submission takes, and leave nothing in the queue."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    before = set(ask("squeue", "--noheader", "--format=%A").split())
    yield
    left = set(ask("squeue", "--noheader", "--format=%A").split()) - before
    if left:
        ask("scancel", *left)


def cluster(lab: Lab, *lines: str) -> str:
    path = lab.path / "cluster.yaml"
    sizes = ["gpus_per_rank: 0", "cpus_per_rank: 1", "timeout_minutes: 20"]
    path.write_text("\n".join([*sizes, *lines]) + "\n")
    return str(path)


def submit(capsys: pytest.CaptureFixture, file: str, words: list[str]) -> tuple[str, Path]:
    """Submit one run; return the number of its job and its log."""
    assert job.main([file, *words]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[:3:2])
    return told["job"], Path(told["log"])


def wait_for(folder: Path) -> None:
    """Wait for the result of a run."""
    wait_until(RunFolder(folder).result.exists, 200)


def is_under_way(folder: Path) -> bool:
    """Whether some rounds are done."""
    metrics = folder / "metrics.csv"
    return metrics.exists() and metrics.read_text().count("\n") > 3


def test_two_nodes_of_two_ranks_give_the_bits_of_one_rank(lab: Lab, capsys) -> None:
    file = cluster(lab, "nodes: 2", "ranks_per_node: 2")
    submit(capsys, file, lab.words("wide", **SHORT))
    wait_for(lab.folder("wide"))
    assert outcome(lab.folder("wide")) == outcome(lab.folder("short"))


def test_requeue_from_outside_goes_on_to_the_same_bits(lab: Lab, capsys) -> None:
    number, log = submit(capsys, cluster(lab), lab.words("again", **LONG))
    wait_until(lambda: is_under_way(lab.folder("again")))
    ask("scontrol", "requeue", number)
    wait_for(lab.folder("again"))
    assert "going on after round" in log.read_text()
    assert outcome(lab.folder("again")) == outcome(lab.folder("long"))


def test_preempted_elements_of_an_array_go_on_to_the_same_bits(lab: Lab) -> None:
    folder = lab.folder("low")
    file = lab.path / "low.yaml"
    base = lab.words("unused", **LONG)
    file.write_text(f"base: {base}\ngrid: {{seed: [1, 2]}}\n".replace("'", '"'))
    place = cluster(lab, "partition: low", "ranks_per_node: 2", "sbatch: {exclusive: true}")
    assert sweep.main([str(file), f"run.folder={folder}", "--cluster", place]) == 0
    runs = [folder / "low-seed1", folder / "low-seed2"]
    wait_until(lambda: all(map(is_under_way, runs)))
    ask("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null",
        "--wrap=true")  # fmt: skip
    for run in runs:
        wait_for(run)
    for found in read_jobs(folder):
        assert "going on after round" in Path(found.log).read_text()
    assert outcome(runs[0]) == outcome(lab.folder("long"))


def test_array_with_a_failing_run_is_told_and_gone_on_with(
    lab: Lab, capsys: pytest.CaptureFixture
) -> None:
    folder, data = lab.folder("six"), lab.path / "later"
    file = lab.path / "six.yaml"
    base = lab.words("unused", federation__rounds=1)
    rows = {f"good{index}": [f"seed={index}"] for index in range(5)}
    rows["bad"] = [f"data.root={data}"]
    file.write_text(f"base: {base}\nrows: {rows}\n".replace("'", '"'))
    words = [str(file), f"run.folder={folder}", "--cluster", cluster(lab, "array_parallelism: 4")]
    assert sweep.main(words) == 0
    first = newest(read_jobs(folder))
    arrays = {found.job.partition("_")[0] for found in first.values()}  # two where one has 5 places
    wait_until(lambda: all(map(is_over, arrays)), 200)
    capsys.readouterr()
    assert status.main([str(folder)]) == 1
    told = capsys.readouterr().out
    assert "6 runs: 5 done, 1 failed\n" in told
    assert f"error: data.root: {data}" in told
    assert f"see {first['bad'].log}\n" in told
    data.symlink_to(lab.data)
    assert status.main([str(folder), "--retry"]) == 0
    assert sweep.main(words) == 0  # all is finished or queued by now
    again = newest(read_jobs(folder))
    assert [run for run in again if again[run] != first[run]] == ["bad"]
    wait_for(folder / "bad")


def test_cancel_takes_the_jobs_of_one_sweep(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    place = cluster(lab, "sbatch: {hold: true}")
    for name in ("one", "two"):
        file = lab.path / f"{name}.yaml"
        file.write_text(f"base: {lab.words('unused')}\ngrid: {{seed: [1, 2]}}\n".replace("'", '"'))
        assert sweep.main([str(file), f"run.folder={lab.folder(name)}", "--cluster", place]) == 0
    assert status.main([str(lab.folder("one")), "--cancel"]) == 0
    one, two = (read_jobs(lab.folder(name))[0].job.partition("_")[0] for name in ("one", "two"))
    wait_until(lambda: is_over(one))
    capsys.readouterr()
    assert status.main([str(lab.folder("one"))]) == 0
    assert "2 runs: 2 stopped" in capsys.readouterr().out
    assert not is_over(two)
    assert status.main([str(lab.folder("two"))]) == 0
    assert "2 runs: 2 pending" in capsys.readouterr().out


def batch(lab: Lab, nodes: int, ranks_per_node: int, words: list[str]) -> tuple[str, Path]:
    """Submit slurm/train.sbatch; return the number of the job and its log."""
    log = lab.path / f"batch-{nodes}.log"
    sizes = [f"--nodes={nodes}", f"--cpus-per-task={ranks_per_node}", "--parsable"]
    script = [f"--output={log}", ROOT / "slurm" / "train.sbatch", *words]
    return ask("env", f"RANKS_PER_NODE={ranks_per_node}", "sbatch", *sizes, *script), log


def test_batch_script_on_two_nodes_gives_the_bits_of_one_rank(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    batch(lab, 2, 2, lab.words("plain", **SHORT))
    wait_for(lab.folder("plain"))
    assert outcome(lab.folder("plain")) == outcome(lab.folder("short"))


def test_status_of_the_run_is_that_of_the_batch_script(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    number, log = batch(lab, 1, 1, ["federation.round=3"])
    wait_until(lambda: is_over(number))
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True)
    assert "JobState=FAILED" in shown.stdout, log.read_text()
    assert "ExitCode=1:0" in shown.stdout
    assert "did you mean federation.rounds" in log.read_text()
