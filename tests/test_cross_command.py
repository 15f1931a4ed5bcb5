"""`evaluate RUN data.name=...`: clients of a finished run on all images of another set."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Lab, alone, call, make_lab

from pfedmma_dist import evaluate

SHIFT = {"data__task": "label_shift", "federation__rounds": 1, "evaluate__every": 0}
DRAWN = {"data__name": "glyphs", "data__train_per_class": 1, "data__test_per_class": 1}
ASKED = ["data.name=glyphs", "data.test_per_class=1", "data.train_per_class=1"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Runs of methods with a private part, with one per class and with nothing, on eight classes;
    and zero-shot CLIP on another set, divided among two clients."""
    lab = make_lab(tmp_path_factory.mktemp("cross"))
    for method in ("pfedmma", "linear_probe", "zero_shot"):
        assert call(lab.words(method, method__name=method, **SHIFT)) == 0
    elsewhere = {**SHIFT, **DRAWN, "method__name": "zero_shot", "data__num_clients": 2}
    assert call(lab.words("elsewhere", **elsewhere)) == 0
    return lab


def score(lab: Lab, run: str, *words: str) -> int:
    with alone():
        return evaluate.main([str(lab.folder(run)), *words])


def written(lab: Lab, run: str, name: str = "glyphs") -> dict[str, Any]:
    """Return the newest evaluation on a set of this name."""
    files = (lab.folder(run) / "evaluations").glob(f"{name}-*.json")
    return json.loads(max(files, key=lambda file: file.stat().st_mtime_ns).read_text())


def means(found: dict[str, Any]) -> list[float]:
    return [row["scores"]["cross_mean"] for row in found["results"]]


def by_client(folder: Path, column: str) -> list[float]:
    with open(folder / "clients.csv", encoding="utf-8", newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file)]


def test_zero_shot_on_another_set_is_zero_shot_of_a_run_of_that_set(lab: Lab) -> None:
    assert score(lab, "zero_shot", *ASKED) == 0
    expected = json.loads((lab.folder("elsewhere") / "result.json").read_text())["results"][-1]
    found = written(lab, "zero_shot")
    assert means(found) == [expected["scores"]["global_mean"]] * 2
    assert found["cross"]["why_not_shared"] == "all clients hold the same numbers"
    by_domain = [found["results"][1]["scores"][f"cross_{name}_mean"]
                 for name in found["cross"]["domains"]]  # fmt: skip
    sizes = list(found["cross"]["domains"].values())
    assert sum(sizes) == found["cross"]["num_images"] == 100
    assert np.average(by_domain, weights=sizes) == pytest.approx(means(found)[1])


def test_parts_per_class_are_left_out_on_other_classes_and_words_say_so(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(lab, "linear_probe", *ASKED, "data.num_clients=3", "data.beta=0.1") == 0
    out, err = capsys.readouterr()
    found = written(lab, "linear_probe")
    untouched, personal = means(found)
    assert personal == untouched
    assert not found["cross"]["is_trained"] and found["cross"]["num_classes"] == 100
    assert "scored  all 100 test images of glyphs, each among all its 100 classes" in out
    assert "classes  not those of the training softmax, so that parts per class are left" in out
    assert "by domain  linear_probe: photo" in out
    assert "data.num_clients, data.beta: no effect: a set that is scored on is dealt" in err


def test_clients_keep_their_own_numbers_and_the_shared_part_stands_beside_them(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lab.folder("pfedmma")
    assert score(lab, "pfedmma", "--cross") == 0
    out = capsys.readouterr().out
    assert "they are those of the training softmax, parts per class included" in out
    found = written(lab, "pfedmma", "folder")
    assert found["clients"]["cross"] == by_client(folder, "global_percent")
    assert [row["name"] for row in found["results"]] == [
        "zero-shot CLIP", "pfedmma", "pfedmma, shared part alone"
    ]  # fmt: skip
    assert found["cross"]["own"] and found["cross"]["trained_on"] == "folder"
    assert score(lab, "pfedmma", *ASKED) == 0  # beside it, under another name
    assert len(list((folder / "evaluations").iterdir())) == 2
    assert not written(lab, "pfedmma")["cross"]["own"]


def test_parts_per_class_count_on_the_set_they_were_trained_on(lab: Lab) -> None:
    assert score(lab, "linear_probe", "--cross") == 0
    found = written(lab, "linear_probe", "folder")
    assert found["clients"]["cross"] == by_client(lab.folder("linear_probe"), "global_percent")


def test_set_of_fewer_classes_and_images_needs_nothing_of_the_division(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    few = make_lab(
        lab.path / "few", (1, 1)
    )  # two classes: four base-to-novel clients cannot share them
    words = ["--cross", f"data.root={few.data}", "evaluate.base_novel_images=4"]
    assert score(lab, "zero_shot", *words) == 0
    out = capsys.readouterr().out
    assert "among all its 2 classes" in out and "4 of 6 images of Cross" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.name=glyfs"], "data.name: 'glyfs' is unknown; did you mean glyphs?"),
        (["data.name=dtd", "data.root=nowhere"], "data.root: "),
        ([*ASKED, "--search"], "--search: options are chosen on validation images of the run's"),
        ([*ASKED, "optim.lr=0.5"], "optim.lr: "),
        ([*ASKED, "control.names=permuted"], "control.names: permuted is a control of the run's"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_key(
    lab: Lab, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert score(lab, "zero_shot", *words) == 2
    assert f"error: {told}" in capsys.readouterr().err
