"""Cluster files are read strictly and become what sbatch is asked for."""

import subprocess
from pathlib import Path

import pytest

from launch.cluster import Cluster, inherited, read_cluster

SLURM = Path(__file__).parents[2] / "slurm"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_cluster(str(path))
    return str(error.value)


def test_template_shows_the_defaults() -> None:
    assert read_cluster(str(SLURM / "template.yaml")) == Cluster()


def test_every_line_of_the_template_is_a_valid_one(tmp_path: Path) -> None:
    text = (SLURM / "template.yaml").read_text().partition("\n\n")[2]
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    (tmp_path / "all.yaml").write_text("\n".join(lines))
    cluster = read_cluster(str(tmp_path / "all.yaml"))
    assert cluster.setup[0] == "module load cuda"
    assert cluster.sbatch == {"constraint": "a100", "reservation": "mine"}


def test_shipped_files_are_read() -> None:
    for path in SLURM.glob("*.yaml"):
        read_cluster(str(path))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("node: 2\n", "unknown key node"),
        ("nodes: two\n", "nodes: 'two' is not a whole number; for example nodes=1"),
        ("nodes: 0\n", "nodes: 0 is not 1 or more"),
        ("setup: module load cuda\n", "setup: 'module load cuda' is not a list"),
        ("timeout_minutes: 5\n", "warning_seconds: 300 is not below timeout_minutes=5"),
    ],
)
def test_refusal_names_key_value_and_remedy(tmp_path: Path, text: str, error: str) -> None:
    assert error in refused(tmp_path, text)


def test_batch_script_is_valid_bash() -> None:
    subprocess.run(["bash", "-n", SLURM / "train.sbatch"], check=True)


def test_missing_file_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SLURM.parent)
    with pytest.raises(ValueError, match="no cluster file a1000.yaml; known: slurm/a100.yaml"):
        read_cluster("a1000.yaml")


def test_srun_is_told_the_cpus_again() -> None:
    parameters = Cluster(cpus_per_rank=6, ranks_per_node=4).parameters("mine")
    assert "--cpus-per-task=6" in parameters["slurm_srun_args"]
    assert (parameters["tasks_per_node"], parameters["gpus_per_node"]) == (4, 4)


def test_variables_of_another_job_are_found_and_the_address_of_slurm_is_kept() -> None:
    names = [
        "SLURM_JOB_ID", "SLURM_CPU_BIND", "SBATCH_ACCOUNT", "PMIX_RANK", "PMI_RANK", "RANK",
        "LOCAL_WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "SUBMITIT_EXECUTOR",
        "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID",
    ]  # fmt: skip
    kept = ["SLURM_CONF", "PATH", "HOME", "CUDA_VISIBLE_DEVICES", "MY_RANK", "PYTHONPATH"]
    assert inherited(dict.fromkeys(names + kept, "1")) == names
