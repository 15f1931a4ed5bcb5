"""A sweep becomes arrays that the cluster accepts, each run in one of them at a time."""

import json
import shutil
from pathlib import Path

import pytest
from stub_programs import FINISH, Stubs

from launch.array import chunks
from launch.jobs import newest, read_jobs
from launch.sweep import main
from pfedmma_dist.run.folder import RunFolder


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
grep -e --dependency= "$1" >> lines
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
    file, folder, *_ranks = stubs(**{f"run{index}": FINISH for index in range(6)})
    return main([file, folder, "--cluster", str(tmp_path / "cluster.yaml"), *more])


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


@pytest.mark.parametrize(
    ("most", "asked", "lines"),
    [
        (4, "", []),
        (2, "", ["afterany:1"]),
        (1, "singleton", ["singleton", "singleton,afterany:1", "singleton,afterany:2"]),
    ],
)
def test_arrays_wait_in_lines_where_one_run_of_each_is_too_many(
    stubs: Stubs, slurm: Path, tmp_path: Path, most: int, asked: str, lines: list[str]
) -> None:
    text = (slurm / "scontrol").read_text()
    (slurm / "scontrol").write_text(text.replace("= 5", "= 2"))  # three arrays of two
    further = f"sbatch: {{dependency: {asked}}}\n" if asked else ""
    more = f"array_parallelism: {most}\ngpus_per_rank: 0\n{further}"
    (tmp_path / "cluster.yaml").write_text(more)
    assert submit(stubs, tmp_path) == 0
    assert (slurm / "lines").read_text().splitlines() == [
        f"#SBATCH --dependency={x}" for x in lines
    ]


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
    folder = RunFolder(tmp_path / "runs" / "run0")
    folder.path.mkdir()
    shutil.copy(newest(read_jobs(tmp_path / "runs"))["run0"].config, folder.config)
    row = {"scores": {"local_mean": 60.0}, "trained": 1, "up_bytes": 4, "down_bytes": 4}
    folder.result.write_text(json.dumps({"results": [row]}))
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
        ("ranks_per_node: 9\n", ["federation.num_shards=8"], "8 shards cannot feed 9 ranks"),
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
        file.write("kill -TERM $PPID\n")
    assert submit(stubs, tmp_path) == 75
    assert "stopped; the same command submits the rest" in capsys.readouterr().err
    assert [job.job for job in read_jobs(tmp_path / "runs")] == ["1_0", "1_1", "1_2"]
