"""The best round on validation images is reported, whatever happened on the way to it."""

import csv
import json
import shutil
import signal
from pathlib import Path

import pytest
from ranks import run
from runs import Lab, alone, call, checkpoints, make_lab, outcome, refusal

from pfedmma_dist import evaluate
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run.signals import STOPPED

KEYS = {
    "data__validation": 0.4,
    "evaluate__select": "best_val",
    "federation__fraction": 0.75,
    "federation__rounds": 6,
    "optim__lr": 0.1,
    "seed": 3,
}
BEST = 4


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with the run `whole`, of which a round in the middle is the best."""
    lab = make_lab(tmp_path_factory.mktemp("best"), (12, 10, 11, 12, 2, 2, 2, 2))
    assert call(lab.words("whole", **KEYS)) == 0
    return lab


@pytest.fixture(scope="module")
def stopped(lab: Lab) -> Lab:
    """The same with the run `stopped`, which two ranks left after round 5, the best behind it."""
    words = lab.words("stopped", **KEYS, run__keep_checkpoints=3)
    ended = run(words, lab.path / "said stopped", mishap=("term", 1, 4))
    assert [rank.code for rank in ended] == [STOPPED, STOPPED]
    assert "saved after round 5 of 6" in ended[0].err
    return lab


def again(lab: Lab, name: str, folder: Path) -> list[str]:
    """Return the command that goes on with a copy of a run in this folder."""
    shutil.copytree(lab.folder(name), folder)
    return lab.words(name, **KEYS, run__keep_checkpoints=3, run__folder=folder)


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def reported(folder: Path) -> tuple[object, ...]:
    """Return all that must not depend on ranks and restarts."""
    found = result(folder)
    files = folder.glob(f"best/round_{BEST:06d}/*.safetensors")
    best = {path.name: path.read_bytes() for path in files}
    assert len(best) == 4
    return found["selection"], found["results"][-1]["scores"], best, outcome(folder)


def test_scores_of_the_best_round_are_the_runs(lab: Lab) -> None:
    folder = lab.folder("whole")
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    val = [float(row["val_mean_percent"]) for row in rows]
    assert val.index(max(val)) + 1 == BEST and val.count(max(val)) > 1  # the first of several
    found = result(folder)
    told, row = found["selection"], found["results"][-1]
    assert (told["rule"], told["round"], told["best_val"]["round"]) == ("best_val", BEST, BEST)
    assert told["last"]["round"] == 6 and told["last"]["scores"]["base_mean"] > 0
    assert row["scores"]["val_mean"] == pytest.approx(val[BEST - 1])
    assert row["scores"]["local_mean"] == pytest.approx(float(rows[BEST - 1]["local_mean_percent"]))
    assert row["scores"]["local_mean"] > told["last"]["scores"]["local_mean"]
    assert row["peeking"] == told["best_test"]["gain_over_best_val"] == 0.0
    assert told["best_test"]["gain_over_last"] > 0
    with open(folder / "clients.csv", newline="") as file:
        own = [float(line["local_percent"]) for line in csv.DictReader(file)]
    assert sum(own) / len(own) == pytest.approx(row["scores"]["local_mean"])


def test_choice_on_test_images_reports_another_round_where_it_is_switched_on(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {**KEYS, "evaluate__select": "last", "released__best_on_test": "true"}
    assert call(lab.words("peeking", **keys)) == 0
    found = result(lab.folder("peeking"))
    with open(lab.folder("peeking") / "metrics.csv", newline="") as file:
        local = [float(row["local_mean_percent"]) for row in csv.DictReader(file)]
    best = local.index(max(local)) + 1
    assert best < len(local) and found["selection"]["rule"] == "best_test"
    assert found["selection"]["round"] == found["selection"]["best_test"]["round"] == best
    assert found["results"][-1]["scores"]["local_mean"] == pytest.approx(max(local))
    with alone():
        assert evaluate.main([str(lab.folder("peeking"))]) == 0
    assert f"scored  round {best}, the best on test images, chosen by" in capsys.readouterr().out


def test_one_state_is_left_below_best(lab: Lab) -> None:
    assert [path.name for path in (lab.folder("whole") / "best").iterdir()] == ["round_000004"]
    assert checkpoints(lab.folder("whole")) == ["round_000004", "round_000006"]


def test_run_stopped_on_two_ranks_reports_the_same_on_one(stopped: Lab, tmp_path: Path) -> None:
    assert call(again(stopped, "stopped", tmp_path / "run")) == 0
    assert reported(tmp_path / "run") == reported(stopped.folder("whole"))


def test_run_stopped_before_its_best_round_reports_the_same(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored, calls = Federation.evaluate, iter(range(3))

    def asked(self: Federation, *words: object) -> object:
        if next(calls, None) == 2:
            signal.raise_signal(signal.SIGTERM)
        return scored(self, *words)

    words = lab.words("early", **KEYS)
    with monkeypatch.context() as context:
        context.setattr(Federation, "evaluate", asked)
        assert call(words) == STOPPED
    assert checkpoints(lab.folder("early"))[-1] == "round_000003"
    assert call(words) == 0
    assert reported(lab.folder("early")) == reported(lab.folder("whole"))


def test_checkpoint_whose_best_round_is_lost_gives_way_to_one_before(
    stopped: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = again(stopped, "stopped", tmp_path / "run")
    [file] = (tmp_path / "run" / "best" / "round_000004").glob("shard_001*")
    file.write_bytes(file.read_bytes()[:-1])
    assert call(words) == 0
    told = capsys.readouterr().err
    assert "round_000005 cannot be used" in told and "going on after round 2 of 6" in told
    assert reported(tmp_path / "run") == reported(stopped.folder("whole"))


def test_run_that_has_lost_all_its_best_rounds_is_refused(
    stopped: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = again(stopped, "stopped", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "best")
    assert "run.folder: every checkpoint in" in refusal(capsys, words)


def test_evaluate_scores_the_best_round_and_says_so(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lab.folder("whole")
    for word, words, row in (
        ("best_val", "scored  round 4, the best on validation images", "best_val"),
        ("last", "scored  round 6, the last", "last"),
    ):
        with alone():
            assert evaluate.main([str(folder), f"evaluate.select={word}"]) == 0
        assert words in capsys.readouterr().out
        files = {json.loads(f.read_text())["select"]: f for f in folder.glob("evaluations/*")}
        found = json.loads(files[word].read_text())
        told = result(folder)["selection"][row]
        assert found["rounds"] == told["round"]
        assert found["results"][-1]["scores"]["novel_mean"] == pytest.approx(
            result(folder)["selection"][row]["scores"]["novel_mean"]
        )


def test_evaluate_of_a_stopped_run_scores_its_best_round_so_far(
    stopped: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again(stopped, "stopped", tmp_path / "run")
    with alone():
        assert evaluate.main([str(tmp_path / "run")]) == 0
    assert "scored  round 4, the best on validation images" in capsys.readouterr().out


def test_evaluate_holds_no_images_apart_afterwards(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"federation__rounds": 1, "data__validation": 0.0, "evaluate__select": "last"}
    assert call(lab.words("without", **{**KEYS, **words})) == 0
    asked = [str(lab.folder("without")), "evaluate.select=best_val", "data.validation=0.4"]
    with alone():
        assert evaluate.main(asked) == 2
    assert "was trained with 0.0, and 0.4 is asked for" in capsys.readouterr().err


def test_what_trains_nothing_has_no_round_to_choose(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(lab.words("nothing", **KEYS, method__name="zero_shot")) == 0
    assert "Val" in capsys.readouterr().out
    assert result(lab.folder("nothing"))["selection"] is None
