"""Optuna as the sampler of launch.tune: what it proposes, prunes, keeps and goes on with."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from launch import halving, proposals, sampler, tune
from launch.sampler import Choice, Range, space_of
from launch.tasks import Task
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.stopped import STOPPED

Asked = tuple[float, int, int | None]


class Landscape:
    """Writes the metrics of runs in place of training them: Val is best at a rate of 0.05."""

    asked: ClassVar[list[Asked]] = []
    stops_after: ClassVar[float] = math.inf  # calls
    fails: ClassVar[bool] = False
    calls: ClassVar[int] = 0

    def __init__(self, folder: Path, ranks: int, count: int, stop: object, *, pauses: bool) -> None:
        assert pauses

    @classmethod
    def stop(cls) -> bool:
        return cls.calls > cls.stops_after

    def run(self, due: Sequence[tuple[str, Task]]) -> int:
        Landscape.calls += 1
        if self.stop():
            return 0
        for _, task in due:
            config = read_yaml(task.config)
            rate, seed, pause = config["optim"]["lr"], config["seed"], config["run"]["pause_after"]
            self.asked.append((rate, seed, pause))
            folder = RunFolder(config["run"]["folder"])
            folder.path.mkdir(parents=True, exist_ok=True)
            value = "" if self.fails else 80 - 10 * math.log10(rate / 0.05) ** 2
            with open(folder.metrics, "w", newline="") as file:
                lines = [[number, value] for number in range(pause or 9)]
                csv.writer(file).writerows([["round", halving.VAL_COLUMN], *lines])
        return 0


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name, value in (("asked", []), ("stops_after", math.inf), ("fails", False), ("calls", 0)):
        monkeypatch.setattr(Landscape, name, value)
    monkeypatch.setattr(proposals, "Workers", Landscape)
    told = {
        "base": ["data.validation=0.2", "evaluate.every=1", "federation.rounds=9"],
        "rows": {"Mine": ["method.name=promptfl"]},
        "grid": {"optim.lr": [0.001, 1.0], "seed": [1, 2]},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(told))
    return [str(tmp_path / "mine.yaml"), "--sampler", "optuna"]


def start(sweep: list[str], folder: Path, trials: int, *words: str) -> int:
    return tune.main([*sweep, "--trials", str(trials), f"run.folder={folder}", *words])


def rates() -> list[float]:
    """Return the rates that were asked for, in their order, each once."""
    return list(dict.fromkeys(rate for rate, *_ in Landscape.asked))


def test_numbers_with_a_point_are_a_range_and_all_else_is_chosen_from() -> None:
    points = [
        {"optim.lr": rate, "optim.momentum": momentum, "method.rank": rank, "method.share": share}
        for rate, momentum, rank, share in [(0.1, 0.5, 4, "all"), (10, 0.9, 8, "none")]
    ]
    assert space_of(points) == {
        "optim.lr": Range(0.1, 10.0, log=True),
        "optim.momentum": Range(0.5, 0.9, log=False),
        "method.rank": Choice((4, 8)),
        "method.share": Choice(("all", "none")),
    }
    assert str(Range(0.1, 10.0, log=True)) == "0.1 to 10.0, by ratios"


def test_best_trial_becomes_a_preset_and_the_worse_are_pruned(
    sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(sweep, tmp_path / "runs", 8, "--dry-run") == 0
    words = "8 trials of optim.lr of 0.001 to 1.0, by ratios; judged by Val after 1, 3, 9 rounds"
    assert capsys.readouterr().out == f"Mine: {words}\n"
    assert start(sweep, tmp_path / "runs", 8) == 0
    assert len(rates()) == 8
    assert all(0.001 <= rate <= 1.0 for rate in rates())
    whole = {rate for rate, _, pause in Landscape.asked if pause is None}
    best = min(rates(), key=lambda rate: abs(math.log10(rate / 0.05)))
    assert best in whole and len(whole) < 6
    path = tmp_path / "runs" / "tuned-Mine.yaml"
    assert read_yaml(path) == {"method": {"name": "promptfl"}, "optim": {"lr": best}}
    assert "the best of 8 trials of Optuna by Val after 9 rounds" in path.read_text()
    planned = (tmp_path / "runs" / "sweep.csv").read_text().splitlines()
    assert len(planned) == 1 + 2 * 8


def test_stopped_search_goes_on_to_the_trials_of_one_that_was_not(
    sweep: list[str], tmp_path: Path
) -> None:
    assert start(sweep, tmp_path / "whole", 8) == 0
    whole = rates()
    Landscape.asked.clear()
    Landscape.calls, Landscape.stops_after = 0, 4  # in the first rungs of the second batch
    assert start(sweep, tmp_path / "stopped", 8) == STOPPED
    Landscape.calls, Landscape.stops_after = 0, math.inf
    assert start(sweep, tmp_path / "stopped", 8) == 0
    assert rates() == whole
    Landscape.asked.clear()
    assert start(sweep, tmp_path / "stopped", 8) == 0
    assert not Landscape.asked
    assert start(sweep, tmp_path / "stopped", 10) == 0  # two more
    assert len(rates()) == 2


def test_folder_of_another_search_is_refused_and_other_seeds_propose_other_points(
    sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(sweep, tmp_path / "a", 4) == 0
    first = rates()
    Landscape.asked.clear()
    assert start(sweep, tmp_path / "a", 4, "optim.lr=[0.01,1.0]") == 2
    assert "holds a search of 'Mine' with other ranges, settings" in capsys.readouterr().err
    assert not Landscape.asked
    assert start(sweep, tmp_path / "b", 4, "--sampler-seed", "1") == 0
    assert rates() != first


def test_trials_that_all_fail_are_told_and_tried_again(
    sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Landscape.fails = True
    assert start(sweep, tmp_path / "runs", 4) == 2
    assert "Mine: no trial of the last 4 has a Val" in capsys.readouterr().err
    tried, Landscape.fails = rates(), False
    for file in (tmp_path / "runs").glob("*/metrics.csv"):
        assert not read_metrics(file)[halving.VAL_COLUMN].sum() > 0
        file.unlink()  # as of runs that failed before their first round
    Landscape.asked.clear()
    assert start(sweep, tmp_path / "runs", 4) == 0
    assert rates() == tried


def test_sampler_that_is_not_installed_is_told_before_anything_starts(
    sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sampler, "find_spec", lambda name: None)
    assert start(sweep, tmp_path / "runs", 4) == 2
    assert "pip install 'pfedmma_dist[tune]'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_trials_without_a_sampler_are_refused(
    sweep: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main([sweep[0], "--trials", "4"]) == 2
    assert "--trials: is read with --sampler optuna alone" in capsys.readouterr().err
