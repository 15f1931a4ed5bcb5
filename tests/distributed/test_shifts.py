"""Whole runs of feature shift and label shift on glyphs: what they end with, and on two ranks."""

import csv
import json
import shutil

import numpy as np
import pytest
from ranks import run
from runs import Lab, alone, call, make_lab, outcome

from pfedmma_dist import evaluate
from pfedmma_dist.data.glyphs.glyphs import DOMAINS
from pfedmma_dist.run.metrics import read_metrics

FEATURE = {
    "data__name": "glyphs",
    "data__task": "feature_shift",
    "data__num_clients": 12,
    "data__train_per_class": 6,
    "data__test_per_class": 6,
    "federation__rounds": 2,
    "federation__batch_size": 8,
}
HELD_OUT = {**FEATURE, "data__held_out": "sketch", "data__num_clients": 5}
LABEL = {**FEATURE, "data__task": "label_shift", "data__num_clients": 5, "data__beta": 0.1}
SETS = {"data__name": "data+small", "data__names": "[folder:data,folder:small]"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A run of each kind, in this process."""
    lab = make_lab(tmp_path_factory.mktemp("shifts"))
    for half in ("train", "test"):
        for label in range(3):
            shutil.copytree(
                lab.data / half / f"class_{label}", lab.path / "small" / half / f"{label}"
            )
    sets = {**SETS, "data__root": lab.path, "federation__rounds": 1}
    kinds = {"feature": FEATURE, "held_out": HELD_OUT, "label": LABEL, "sets": sets}
    for name, changes in kinds.items():
        assert call(lab.words(name, **changes)) == 0
    return lab


def test_two_folders_are_one_federation_and_scored_apart(lab: Lab) -> None:
    result = json.loads((lab.folder("sets") / "result.json").read_text())
    assert result["data"] == "data+small"
    with open(lab.folder("sets") / "clients.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["domain"] for row in rows] == ["data", "data", "small", "small"]
    scores = result["results"][-1]["scores"]
    for name, own in (("data", rows[:2]), ("small", rows[2:])):
        novel = np.mean([float(row["novel_percent"]) for row in own])
        assert scores[f"novel_in_{name}_mean"] == pytest.approx(novel)
    assert scores["novel_in_small_mean"] == 100  # of one novel class
    assert "hm_in_data" in scores and "domain_small_mean" in scores


def test_feature_shift_has_the_same_bits_on_two_ranks(lab: Lab) -> None:
    ended = run(lab.words("two", **FEATURE), lab.path / "said")
    assert [rank.code for rank in ended] == [0, 0]
    assert outcome(lab.folder("two")) == outcome(lab.folder("feature"))


def test_scores_are_per_domain_and_over_all_clients(lab: Lab) -> None:
    metrics = read_metrics(lab.folder("feature") / "metrics.csv")
    columns = [metrics[f"domain_{name}_mean_percent"] for name in DOMAINS]
    np.testing.assert_allclose(np.mean(columns, axis=0), metrics["local_mean_percent"], rtol=1e-6)
    result = json.loads((lab.folder("feature") / "result.json").read_text())
    assert all(
        {"local_mean", "global_mean", *(f"domain_{name}_mean" for name in DOMAINS)}
        <= row["scores"].keys()
        for row in result["results"]
    )


def test_domain_that_is_held_out_is_scored_by_all_clients_and_has_none(lab: Lab) -> None:
    folder = lab.folder("held_out")
    metrics = read_metrics(folder / "metrics.csv")
    assert np.isfinite(metrics["held_out_mean_percent"][-1])
    assert "domain_sketch_mean_percent" not in metrics
    with open(folder / "clients.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["domain"] for row in rows] == [name for name in DOMAINS if name != "sketch"]
    assert all(row["held_out_percent"] for row in rows)
    scores = json.loads((folder / "result.json").read_text())["results"][-1]["scores"]
    assert scores["held_out_mean"] == np.mean([float(row["held_out_percent"]) for row in rows])


def test_run_ends_with_table_folder_and_tensorboard(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lab.folder("label")
    assert call(lab.words("label", **LABEL)) == 0  # finished: its result again
    lines = capsys.readouterr().out.splitlines()
    [heading] = [line.split() for line in lines if line.startswith("Method")]
    assert heading == [
        "Method",
        "Local",
        "10",
        "%",
        "Own",
        "Global",
        "Trained",
        "Up",
        "Down",
        "Time",
    ]
    assert any("12 KiB" in line for line in lines)
    assert lines[-2:] == [
        f"run folder   {folder}",
        f"TensorBoard  tensorboard --logdir {folder.parent}",
    ]


@pytest.mark.parametrize("name", ["feature", "held_out", "label", "sets"])
def test_run_can_be_scored_again(lab: Lab, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = lab.folder(name)
    with alone():
        assert evaluate.main([str(folder)]) == 0
    assert "scores of each client" in capsys.readouterr().out
    [path] = (folder / "evaluations").iterdir()
    again = json.loads(path.read_text())["results"]
    before = json.loads((folder / "result.json").read_text())["results"]
    assert [row["scores"] for row in again] == [row["scores"] for row in before]
