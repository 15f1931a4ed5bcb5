"""Negative controls of a finished run: what is started, what is scored, what is told."""

import csv
import json
import shutil

import pytest
from runs import Lab, alone, call, make_lab

from launch import controls, workers
from launch.tasks import Task
from launch.workers import Workers
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.simulation import training

QUICK = {"federation.rounds": 2, "optim.lr": 0.02, "method.alpha": 0.1}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab with a finished run of the default method, `whole`."""
    found = make_lab(tmp_path_factory.mktemp("lab"))
    assert call([*found.words("whole"), *(f"{key}={value}" for key, value in QUICK.items())]) == 0
    return found


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the runs of their own in this process, one after another."""

    def run(self: Workers, tasks: list[tuple[str, Task]]) -> int:
        return sum(call([task.config]) != 0 for _, task in tasks)

    monkeypatch.setattr(workers.Workers, "run", run)


def start(*words: object) -> int:
    with alone():
        return controls.main([*map(str, words), "--ranks", "1"])


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert start(*words) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and text.count("\n") == 1
    return text


def rows(text: str) -> dict[str, dict[str, str]]:
    """Return control -> column -> mean, of CSV."""
    found: dict[str, dict[str, str]] = {}
    for line in csv.DictReader(text.splitlines()):
        found.setdefault(line["control"], {"should": line["should"]})[line["column"]] = line["mean"]
    return found


def test_all_controls_stand_in_one_table_and_are_not_made_twice(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.folder("whole")
    assert start(run, "--format", "csv") == 0
    told = capsys.readouterr()
    found, scores = rows(told.out[told.out.index("task,") :]), ("local_mean", "base_mean")
    assert "Chance: 25.00 among 4 of base" in told.err
    own, plain = (
        [found[name][key] for key in scores] for name in ("pfedmma", "zero-shot CLIP")
    )  # fmt: skip
    off = found["method switched off (alpha = 0)"]
    assert [off[key] for key in scores] == plain
    assert found["private parts swapped, on own images"]["local_mean"] == own[0]
    folder = run.with_name("whole-controls")
    matrix = list(csv.reader((folder / "swapped.csv").read_text().splitlines()))
    assert (len(matrix), {len(line) for line in matrix}) == (5, {5})
    assert (folder / "swapped.png").is_file()
    for name in ("training_labels_permuted", "class_names_permuted", "shared_part_at_its_start"):
        losses = [
            (path / "metrics.csv").read_text().splitlines()[1].split(",")[1]
            for path in (run, folder / name)
        ]
        assert losses[0] != losses[1], name

    def never(*words: object) -> int:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(controls, "score_controls", never)
    monkeypatch.setattr(training, "assemble", never)
    assert start(run, "--format", "csv") == 0
    assert rows(capsys.readouterr().out) == found
    assert start(run, "alpha", "--format", "csv") == 0
    assert list(rows(capsys.readouterr().out)) == [
        "pfedmma", "zero-shot CLIP", "method switched off (alpha = 0)",
    ]  # fmt: skip
    (folder / "class_names_permuted" / "metrics.csv").write_text("round\n")
    assert start(run, "names") == 1
    assert "damaged  " in capsys.readouterr().err


def test_dry_run_says_what_is_left_and_does_nothing(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(lab.folder("whole"), lab.folder("dry"))
    assert start(run, "labels", "alpha", "--dry-run") == 0
    scored, planned, total = capsys.readouterr().out.splitlines()
    assert scored == f"to score  alpha: {run}-controls/scored.json"
    assert "to run  training_labels_permuted:" in planned
    assert "control.labels=permuted" in planned
    assert total == "1 runs: 1 to start"
    assert not run.with_name("dry-controls").exists()


def test_what_is_no_finished_run_is_refused_in_one_line(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = lab.folder("whole")
    assert "no control 'label'; did you mean labels?" in refused(capsys, whole, "label")
    assert "holds no run (no config.yaml)" in refused(capsys, lab.path)
    cut = RunFolder(shutil.copytree(whole, lab.folder("cut")))
    cut.result.unlink()
    remedy = f"go on with it by python -m pfedmma_dist.train {cut.config}"
    assert f"has not finished (no result.json); {remedy}" in refused(capsys, cut.path)
    bad = RunFolder(shutil.copytree(whole, lab.folder("bad")))
    bad.result.write_text(bad.result.read_text()[:-40])
    assert "result.json" in refused(capsys, bad.path)
    lost = RunFolder(shutil.copytree(whole, lab.folder("lost")))
    shutil.rmtree(lost.checkpoints)
    assert start(lost.path, "alpha") == 2
    assert "has lost its checkpoints; restore them" in capsys.readouterr().err


def test_folder_of_a_sweep_and_a_control_are_refused(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    (lab.path / "sweep").mkdir(exist_ok=True)
    (lab.path / "sweep" / "sweep.csv").write_text("id,row,folder\n")
    assert "is the folder of a sweep; give one of its runs" in refused(capsys, lab.path / "sweep")
    control = RunFolder(shutil.copytree(lab.folder("whole"), lab.folder("control")))
    text = control.config.read_text()
    control.config.write_text(text.replace("names: as_given", "names: permuted"))
    body = json.loads(control.result.read_text())
    control.result.write_text(json.dumps({"results": body["results"]}))  # as of format 0
    assert refused(capsys, control.path).startswith("error: control.names: ")
