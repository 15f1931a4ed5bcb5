"""A run becomes a job: what is submitted, and what a stop, a failure and a cancellation lead to."""

import os
import pickle
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import submitit

from launch import job
from launch.cluster import Cluster
from launch.job import Run, main, submit
from launch.starts import port_of
from pfedmma_dist.config.command_line import from_yaml
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

RANK = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be no rank yet."""
    for name in RANK:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Run]:
    """Return a maker of runs of the stub, and let subprocesses import it."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here.parents[1]}{os.pathsep}{here}")
    return lambda deed: Run([str(tmp_path), deed], "stub_train")


def starts(folder: Path) -> list[str]:
    return sorted(path.name.removeprefix("start-") for path in folder.glob("start-*"))


def local(run: Run, folder: Path, ranks: int = 2) -> submitit.Job:
    cluster = Cluster(ranks_per_node=ranks, gpus_per_rank=0, timeout_minutes=5)
    return submit(run, cluster, folder / "log", "local", "test")


def test_run_is_pickled_by_name_and_small() -> None:
    text = pickle.dumps(Run(["seed=1"]))
    assert pickle.loads(text) == Run(["seed=1"])
    assert b"launch.job" in text
    assert len(text) < 200


def test_checkpoint_submits_the_same_run() -> None:
    again = Run(["seed=1"], "stub_train").checkpoint()
    assert again.function == Run(["seed=1"], "stub_train")


def test_one_rank_in_process_returns_0(stub, tmp_path: Path) -> None:
    executor = submitit.AutoExecutor(tmp_path / "log", cluster="debug")
    assert executor.submit(stub("finish")).result() == 0
    assert starts(tmp_path) == ["0-0"]


def test_stop_without_a_scheduler_is_an_error_that_says_how_to_go_on(
    stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBMITIT_DEBUG_JOB_ID", "1")
    with pytest.raises(RuntimeError, match="start it again to go on"):
        stub("stop")()


def test_failed_run_is_a_failed_job(stub, tmp_path: Path) -> None:
    error = local(stub("fail"), tmp_path, ranks=1).exception()
    assert isinstance(error, submitit.core.utils.FailedJobError)
    assert "stub_train ended with exit code 2" in str(error)


def test_every_rank_knows_its_place_and_a_stopped_run_goes_on_in_the_same_job(
    stub, tmp_path: Path
) -> None:
    assert local(stub("stop"), tmp_path).results() == [0, 0]
    assert starts(tmp_path) == ["0-0", "0-1", "1-0", "1-1"]
    assert {path.read_text() for path in tmp_path.glob("start-*")} == {"2"}


def test_signals_reach_the_program_and_not_submitit(stub, tmp_path: Path) -> None:
    running = local(stub("wait"), tmp_path)
    wait_until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
    running._process.send_signal(signal.SIGTERM)  # the controller passes it on to its ranks
    assert running.results() == [0, 0]
    assert len(list(tmp_path.glob("saved-*"))) == 2


def test_cancelled_job_does_not_ask_for_a_requeue(stub, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setenv("SUBMITIT_DEBUG_JOB_ID", "1")
    signal.signal(signal.SIGUSR2, lambda *words: asked.append(words))
    monkeypatch.setattr(job, "is_wanted", lambda: False)
    with pytest.raises(SystemExit) as stop:
        stub("stop")()
    assert stop.value.code == 75
    assert asked == []


@pytest.mark.parametrize(("restarts", "counted"), [("0", False), ("1", True)])
def test_something_to_mend_ends_a_first_start_alone(
    stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: str, counted: bool
) -> None:
    here = {"ID": "12", "NODELIST": "localhost", "NUM_NODES": "1"}
    one = {"NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "RESTART_COUNT": restarts}
    names = {f"SLURM_JOB_{name}": value for name, value in here.items()}
    names |= {f"SLURM_{name}": value for name, value in one.items()}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SUBMITIT_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(Path(__file__).parent)
    with pytest.raises(RuntimeError, match="ended with exit code 2"):
        replace(stub("fail"), max_failures=3)()
    assert (tmp_path / "12_attempts.json").exists() is counted  # the batch script then requeues
    assert os.environ["MASTER_PORT"] == str(20012 + 5003 * int(restarts))


def test_jobs_and_their_starts_meet_at_ports_of_their_own() -> None:
    jobs = [{"SLURM_JOB_ID": str(7_000_000 + n)} for n in range(1000)]
    again = [{**jobs[0], "SLURM_RESTART_COUNT": str(n)} for n in range(1, 10)]
    ports = {port_of(names) for names in (*jobs, *again)}
    assert len(ports) == len(jobs) + len(again)
    assert ports <= set(range(20000, 32768))  # systems give away those above


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Return what `main` hands to `submit`, which here hands it to nobody."""
    calls: list[tuple] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    (tmp_path / "cluster.yaml").write_text("ranks_per_node: 2\ngpus_per_rank: 0\n")

    def record(*words: object) -> submitit.Job:
        calls.append(words)
        return submitit.LocalJob(tmp_path, "7")

    monkeypatch.setattr(job, "submit", record)
    monkeypatch.setattr(job, "refuse_without_slurm", lambda words: None)
    return calls


def test_submitted_configuration_is_a_copy(submitted, tmp_path: Path, capsys) -> None:
    edited = tmp_path / "my.yaml"
    edited.write_text("seed: 5\n")
    assert main(["cluster.yaml", "my.yaml", "run.folder=mine"]) == 0
    edited.write_text("seed: 6\n")
    ((run, cluster, folder, executor, name),) = submitted
    saved = from_yaml(run.argv[0], methods=METHODS, sources=SOURCES)
    assert (saved.seed, saved.run.folder) == (5, str(tmp_path / "mine"))
    assert (cluster.num_ranks, executor, name) == (2, "slurm", "mine")
    assert folder == tmp_path / "mine" / "submitit"
    told = capsys.readouterr().out
    assert told == (
        f"job         7\nrun folder  {tmp_path / 'mine'}\nlog         {tmp_path / '7_0_log.out'}\n"
    )


def test_job_sees_nothing_of_the_job_around_it(submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SBATCH_ACCOUNT", "PMIX_RANK", "SUBMITIT_FOLDER", "RANK"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_CONF", "slurm.conf")
    assert main(["cluster.yaml"]) == 0
    assert not {"SLURM_JOB_ID", "SBATCH_ACCOUNT", "PMIX_RANK", "SUBMITIT_FOLDER", "RANK"} & set(
        os.environ
    )
    assert os.environ["SLURM_CONF"] == "slurm.conf"
    root = Path(job.__file__).parents[1]
    assert os.environ["PYTHONPATH"] == f"{root}{os.pathsep}elsewhere"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["cluster.yaml", "federation.round=3"], "did you mean federation.rounds"),
        (["cluster.yaml", "federation.num_shards=1"], "1 shards cannot feed 2 ranks"),
        (["nowhere.yaml"], "there is no cluster file nowhere.yaml"),
    ],
)
def test_mistake_is_told_before_anything_is_queued(
    submitted, capsys, words: list[str], error: str
) -> None:
    assert main(words) == 2
    assert error in capsys.readouterr().err
    assert submitted == []


def test_machine_without_slurm_is_told_so(submitted, capsys, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert main(["slurm/template.yaml"]) == 2
    assert (
        "there is no sbatch here; submit from a login node, or add --local"
        in capsys.readouterr().err
    )


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.1)
