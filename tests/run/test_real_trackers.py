"""The trackers' own libraries, where they are installed: a run that was stopped is read back whole.

`pip install '.[wandb,mlflow,aim]'` brings them; .ci/run installs the first two in a place apart.
"""

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import Lab, call, make_lab

from pfedmma_dist.run.trackers import mlflow_run

LOCAL = "accuracy/local"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing of the user's own settings."""
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "MLFLOW_TRACKING_URI",
                 "MLFLOW_EXPERIMENT_NAME"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def stopped_once(tmp_path: Path, tracker: str, capsys: pytest.CaptureFixture[str]) -> Lab:
    """Train four rounds in two starts, and look whether anything was said to be missing."""
    lab = make_lab(tmp_path)
    words = lab.words("mine", run__trackers=f"[{tracker}]")
    assert call([*words, "run.pause_after=3"]) == 75
    assert call(words) == 0
    assert "going on without" not in capsys.readouterr().err
    return lab


def known(lab: Lab, tracker: str) -> dict[str, Any]:
    note = json.loads((lab.folder("mine") / "trackers.json").read_text())
    assert note[tracker]["rounds"] == 4
    return note[tracker]


def local(lab: Lab) -> list[float]:
    """Return what metrics.csv says of the tag that is looked at."""
    header, *rows = [
        line.split(",") for line in (lab.folder("mine") / "metrics.csv").read_text().splitlines()
    ]
    return [float(row[header.index("local_mean_percent")]) for row in rows]


@pytest.mark.usefixtures("own")
def test_wandb_has_both_starts_offline_under_one_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    lab = stopped_once(tmp_path, "wandb", capsys)
    run = known(lab, "wandb")["id"]
    files = sorted(lab.folder("mine").glob(f"wandb/offline-run-*-{run}/run-{run}.wandb"))
    assert len(files) == 2
    records = [list(wandb_records(path)) for path in files]
    found = [{}, {}]
    for place, own in enumerate(records):
        for record in own:
            items = {i.key or "/".join(i.nested_key): i.value_json for i in record.history.item}
            if LOCAL in items:
                found[place][record.history.step.num] = float(items[LOCAL])
    assert [list(steps) for steps in found] == [[0, 1, 2], [3]]
    assert [*found[0].values(), *found[1].values()] == pytest.approx(local(lab))
    config = {i.key: i.value_json for own in records for r in own for i in r.run.config.update}
    assert json.loads(config["optim.lr"]) == 0.05
    summary = {i.key for r in records[1] for i in r.summary.update} | {
        "/".join(i.nested_key) for r in records[1] for i in r.summary.update
    }
    assert "result/local_mean" in summary
    exits = [r.exit.exit_code for own in records for r in own if r.HasField("exit")]
    assert exits == [1, 0]


def wandb_records(path: Path) -> Iterator[Any]:
    """Yield the records of a .wandb file: a log in blocks of 32 KiB, as LevelDB's."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


@pytest.mark.usefixtures("own")
def test_mlflow_has_each_round_once_and_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow = pytest.importorskip("mlflow")
    lab = stopped_once(tmp_path, "mlflow", capsys)
    note = known(lab, "mlflow")
    assert note["place"] == f"sqlite:///{tmp_path}/runs/mlflow/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=note["place"])
    history = client.get_metric_history(note["id"], LOCAL)
    assert [(one.step, one.value) for one in history] == [
        (step, pytest.approx(value)) for step, value in enumerate(local(lab))
    ]
    run = client.get_run(note["id"])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "mine")
    assert run.data.params["optim.lr"] == "0.05"
    assert run.data.metrics["result/local_mean"] == pytest.approx(local(lab)[-1])
    there = tmp_path / "runs" / "mlflow" / "artifacts" / note["id"] / "artifacts"
    assert "pause_after: 3" in (there / "config.yaml").read_text()  # as it began
    assert (there / "figures" / "accuracy_over_rounds.png").exists()


@pytest.mark.usefixtures("own")
def test_aim_has_each_round_once_and_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aim = pytest.importorskip("aim")
    lab = stopped_once(tmp_path, "aim", capsys)
    note = known(lab, "aim")
    run = aim.Run(
        run_hash=note["id"], repo=note["place"], system_tracking_interval=None,
        log_system_params=False, capture_terminal_logs=False,
    )  # fmt: skip
    found = {metric.name: metric.values.sparse_list()[1] for metric in run.metrics()}
    assert sorted(found[LOCAL]) == pytest.approx(sorted(local(lab)))  # in no order of its own
    assert run["config"]["optim.lr"] == 0.05
    assert run["result"]["result/local_mean"] == pytest.approx(local(lab)[-1])
    run.close()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("hangs", [False, True])
def test_run_ends_without_an_mlflow_server_that_is_gone_or_hangs(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    hangs: bool,
) -> None:
    pytest.importorskip("mlflow")
    for name in mlflow_run.SETTINGS:  # as of a user who has set none
        monkeypatch.setenv(name, "")  # to be put back
        monkeypatch.delenv(name)
    monkeypatch.setitem(mlflow_run.SETTINGS, "MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    lab = make_lab(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:  # nobody answers there
        port = server.getsockname()[1]
        if not hangs:
            server.close()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        assert call(lab.words("mine", run__trackers="[mlflow]")) == 0
    assert "going on without MLflow (" in capsys.readouterr().err
    again = [text for text in caplog.messages if text.startswith("Retrying (Retry(")]
    assert len(again) == 2  # of MLflow's own 7, whose pauses double
