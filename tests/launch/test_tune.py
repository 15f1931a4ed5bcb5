"""Successive halving: who goes on, what is written, and that a pause moves no bit of a run."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from runs import call, make_lab

from launch import halving, tune
from launch.halving import Rung, rungs
from launch.tasks import Task
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.stopped import STOPPED


@pytest.mark.parametrize(
    ("count", "rounds", "every", "expected"),
    [
        (27, 90, 1, [(27, 10), (9, 30), (3, 90)]),
        (9, 100, 5, [(9, 15), (3, 35), (1, 100)]),
        (4, 9, 1, [(4, 3), (2, 9)]),
        (9, 2, 1, [(9, 1), (1, 2)]),  # a ninth and a third are the same round
        (2, 10, 1, [(2, 10)]),
    ],
)
def test_rungs_are_multiples_of_scores_and_end_at_all_rounds(
    count: int, rounds: int, every: int, expected: list[tuple[int, int]]
) -> None:
    assert rungs(count, rounds, every, 3) == [Rung(*pair) for pair in expected]


RATES = [0.001, 0.01, 0.1, 1.0]
VAL = {0.001: 50.0, 0.01: 60.0, 0.1: 62.0, 1.0: math.nan}


class Played:
    """Writes the metrics of runs in place of training them, and notes what was asked for."""

    asked: list[tuple[float, int, int | None]] = []

    def __init__(self, folder: Path, *shares: object, pauses: bool) -> None:
        assert pauses

    def run(self, due: Sequence[tuple[str, Task]]) -> int:
        for _, task in due:
            config = read_yaml(task.config)
            rate, seed, pause = config["optim"]["lr"], config["seed"], config["run"]["pause_after"]
            self.asked.append((rate, seed, pause))
            folder = RunFolder(config["run"]["folder"])
            folder.path.mkdir(parents=True, exist_ok=True)
            value = VAL[rate] + (0.5 if seed == 2 else 0)
            with open(folder.metrics, "w", newline="") as file:
                lines = [[n, "" if math.isnan(value) else value + n] for n in range(pause or 9)]
                csv.writer(file).writerows([["round", halving.VAL_COLUMN], *lines])
        return 0


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    Played.asked = []
    monkeypatch.setattr(tune, "Workers", Played)
    told = {
        "base": ["data.validation=0.2", "evaluate.every=1", "federation.rounds=9"],
        "rows": {"Mine": ["method.name=promptfl"]},
        "grid": {"optim.lr": RATES, "seed": [1, 2]},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(told))
    return [str(tmp_path / "mine.yaml"), f"run.folder={tmp_path / 'runs'}"]


def test_best_by_validation_goes_on_and_becomes_a_preset(
    sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert tune.main([*sweep, "--dry-run"]) == 0
    words = "Mine: 4 until round 3, 2 until round 9; 48 of the grid's 72 rounds (67%)\n"
    assert capsys.readouterr().out == words
    assert not Played.asked
    assert tune.main(sweep) == 0
    first = [(rate, seed, 3) for rate in RATES for seed in (1, 2)]
    second = [(rate, seed, None) for rate in (0.01, 0.1) for seed in (1, 2)]
    assert sorted(Played.asked[:8]) == sorted(first)
    assert sorted(Played.asked[8:]) == sorted(second)  # what has no score is the worst
    path = tmp_path / "runs" / "tuned-Mine.yaml"
    assert read_yaml(path) == {"method": {"name": "promptfl"}, "optim": {"lr": 0.1}}
    told = path.read_text()
    assert "# the best of 4 by Val after 9 rounds, 70.25 %,\n# mean over seeds 1, 2." in told
    assert "| optim.lr=0.001 |" in capsys.readouterr().out


def test_second_start_asks_for_what_is_missing_alone(sweep: list[str]) -> None:
    tune.main(sweep)
    Played.asked.clear()
    tune.main(sweep)
    assert {pause for *_, pause in Played.asked} == {None}  # no result: they have not finished
    assert len(Played.asked) == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.validation=0"], "data.validation: 0 holds no image apart"),
        (["evaluate.every=0"], "evaluate.every: 0 scores no round on the way"),
        (["optim.lr=0.1"], "row 'Mine' has a single candidate"),
        (["--eta", "1"], "--eta: 1; set 2 or more"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    sweep: list[str], words: list[str], told: str, capsys: pytest.CaptureFixture
) -> None:
    assert tune.main([*sweep, *words]) == 2
    assert told in capsys.readouterr().err
    assert not Played.asked


def test_pause_moves_no_bit(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    assert call(lab.words("whole")) == 0
    for pause in (1, 1, 3):  # a second start of the same has nothing to do
        assert call([*lab.words("paused"), f"run.pause_after={pause}"]) == STOPPED
        rounds = read_metrics(RunFolder(lab.folder("paused")).metrics)["round"]
        assert len(rounds) == pause
    assert call(lab.words("paused")) == 0
    shards = [
        sorted(lab.folder(name).glob("checkpoints/round_000004/*")) for name in ("whole", "paused")
    ]
    states = [
        [path.read_bytes() for path in own if path.suffix == ".safetensors"] for own in shards
    ]
    assert states[0] and states[0] == states[1]
    scores = [RunFolder(lab.folder(name)).clients.read_bytes() for name in ("whole", "paused")]
    assert scores[0] == scores[1]
