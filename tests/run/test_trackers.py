"""Trackers are told what TensorBoard is, each round once, and cost a run nothing."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from dealt import dealt
from runs import blank, call, make_lab, refusal

from pfedmma_dist.config.choices import Tracker as Choice
from pfedmma_dist.run import pictures, report
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.run.trackers import registry, sinks
from pfedmma_dist.run.trackers.mlflow_run import _name
from pfedmma_dist.run.trackers.registry import TRACKERS, refuse_missing, tracker_of
from pfedmma_dist.run.trackers.tracker import Opening
from pfedmma_dist.run.trackers.wandb_run import WandbRun
from pfedmma_dist.world import World

SCORES = {"local": np.array([90.0, 70.0]), "global": np.array([50.0, 30.0])}
RESULT = MethodResult(
    name="tuned", scores={"local_mean": 80.0}, trained=1, up_numbers=1, down_numbers=1, up_bytes=4,
    down_bytes=4,
)  # fmt: skip


class Noted:
    """A tracker that notes what it is told, for all starts of a run."""

    runs: ClassVar[list["Noted"]] = []
    where: ClassVar[str] = "here"
    fails: ClassVar[str] = ""

    def __init__(self, opening: Opening, known: str | None) -> None:
        self.opening, self.known = opening, known
        self.id = known or f"run-{len(self.runs)}"
        self.words = "look there"
        self.rounds: list[tuple[int, dict[str, float]]] = []
        self.images: list[str] = []
        self.reached: dict[str, float] = {}
        self.ended: list[bool] = []
        self.runs.append(self)

    @classmethod
    def place(cls, opening: Opening) -> str:
        return cls.where

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        if self.fails == "scalars":
            raise ConnectionError("the server\nis gone")
        self.rounds.append((step, dict(numbers)))

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        assert tag == "clients/local"

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        self.images.append(tag)

    def result(self, numbers: Mapping[str, float]) -> None:
        self.reached = dict(numbers)

    def close(self, finished: bool) -> None:
        self.ended.append(finished)


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> type[Noted]:
    for module in (report, pictures):
        monkeypatch.setattr(module, "save", blank)
    monkeypatch.setattr(sinks, "tracker_of", lambda name: Noted)
    monkeypatch.setattr(Noted, "runs", [])
    monkeypatch.setattr(Noted, "where", "here")
    monkeypatch.setattr(Noted, "fails", "")
    return Noted


def start(path: Path, rounds: range, *, last: bool = False, trackers: tuple = ("aim",)) -> None:
    """Open a report at the first of these rounds, and tell it them."""
    folder = RunFolder(path)
    folder.create()
    clients = ClientTable.count(3, *dealt(2, lambda client: np.array([client, 2])))
    words = {"seed": 1}, "seed: 1", rounds.start
    with Report(folder, World.alone(), clients, list(SCORES), *words, trackers=trackers) as told:
        for index in rounds:
            told.round(
                RoundRecord(
                    round_index=index, loss=2.0 + index, samples=4, train_seconds=1.0,
                    client_up_bytes=4, client_down_bytes=4, rank_bytes=4, scores=SCORES,
                )
            )  # fmt: skip
        if last:
            zero_shot = {"local_mean": 50.0}
            told.finish(SCORES, zero_shot, [replace(RESULT, scores=zero_shot), RESULT], {})


def steps(run: Noted) -> list[int]:
    return [step for step, _ in run.rounds]


def test_names_of_the_key_are_those_of_the_registry() -> None:
    assert list(Choice.__members__) == list(TRACKERS)


def test_tracker_is_told_tags_pictures_result_and_end(tmp_path: Path) -> None:
    start(tmp_path / "runs" / "mine", range(2), last=True)
    (run,) = Noted.runs
    assert steps(run) == [0, 1]
    assert run.rounds[1][1]["accuracy/local"] == 80.0
    assert run.rounds[1][1]["train/loss"] == 3.0
    assert run.reached == {"zero-shot/local_mean": 50.0, "result/local_mean": 80.0}
    assert "figures/accuracy_over_rounds" in run.images
    assert run.ended == [True]
    assert (run.opening.project, run.opening.config) == ("runs", {"seed": 1})


def test_later_start_goes_on_in_the_same_run_and_tells_no_round_twice(tmp_path: Path) -> None:
    start(tmp_path, range(5))
    start(tmp_path, range(3, 7))  # killed after round 5, its checkpoint being that of round 3
    first, second = Noted.runs
    assert second.known == first.id
    assert (steps(first), steps(second)) == ([0, 1, 2, 3, 4], [5, 6])
    assert first.ended == [False]


def test_tracker_that_is_named_later_is_told_what_was(tmp_path: Path) -> None:
    start(tmp_path, range(3), trackers=())
    start(tmp_path, range(3, 4))
    (run,) = Noted.runs
    assert steps(run) == [0, 1, 2, 3]
    assert run.rounds[0][1].keys() == run.rounds[3][1].keys() - {"system/gpu_mib"}
    assert run.rounds[1][1]["accuracy/local"] == 80.0


def test_other_place_is_told_all_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    start(tmp_path, range(2))
    Noted.where = "there"
    start(tmp_path, range(2, 3))
    second = Noted.runs[1]
    assert (second.known, steps(second)) == (None, [0, 1, 2])
    assert "Aim: here holds the rounds so far; there is told all of them anew" in caplog.text


def test_lost_tracker_is_told_once_and_catches_up_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Noted.fails = "scalars"
    start(tmp_path, range(3), last=True)
    told = [text for text in caplog.messages if "going on without" in text]
    assert told == ["going on without Aim (ConnectionError: the server)"]
    assert (tmp_path / "result.json").exists()
    Noted.fails = ""
    start(tmp_path, range(3, 4))
    assert steps(Noted.runs[-1]) == [0, 1, 2, 3]
    assert len({run.id for run in Noted.runs}) == 1


def test_damaged_note_of_ids_costs_the_tracker_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.joinpath("trackers.json").write_text("{")
    start(tmp_path, range(2), last=True)
    assert not Noted.runs
    assert "going on without Aim (JSONDecodeError" in caplog.text
    assert (tmp_path / "result.json").exists()


def test_missing_library_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"run\.trackers: mlflow needs mlflow and sqlalchemy and"):
        refuse_missing(["mlflow"])
    with pytest.raises(ValueError, match=r"pip install 'pfedmma_dist\[aim\]', or leave aim out"):
        refuse_missing(["aim"])


def test_run_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    lab = make_lab(tmp_path)
    told = refusal(capsys, lab.words("run", run__trackers="[wandb]"))
    assert "run.trackers: wandb needs wandb, which cannot be imported here" in told
    assert not lab.folder("run").exists()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("[wand]", "is not a list of wandb, mlflow and aim, or of some of them"),
        ("[aim,aim]", "is not a list of wandb, mlflow and aim"),
        ("wandb", "write [wandb]; for example 'run.trackers=[wandb,mlflow]'"),
    ],
)
def test_what_is_no_tracker_is_refused(
    value: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refusal(capsys, make_lab(tmp_path, ()).words("run", run__trackers=value))


def test_trained_run_names_its_tracker_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: name)
    lab = make_lab(tmp_path)
    assert call(lab.words("run", run__trackers="[aim]", run__pause_after=2)) == 75
    assert call(lab.words("run", run__trackers="[aim]")) == 0
    assert [steps(run) for run in Noted.runs] == [[0, 1], [2, 3]]
    assert [run.ended for run in Noted.runs] == [[False], [True]]
    known = json.loads((lab.folder("run") / "trackers.json").read_text())
    assert known == {"aim": {"id": "run-0", "place": "here", "rounds": 4}}


def test_names_that_mlflow_takes_not_stay_apart() -> None:
    assert _name("domain/price_$5: a-b") == "domain/price__24_5: a-b"
    assert _name("domain/a\\b") != _name("domain/a|b")


class PretendedWandb(ModuleType):
    """Takes what `wandb.init` is given."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.asked: dict[str, Any] = {}
        self.Settings = SimpleNamespace

    def init(self, **words: Any) -> SimpleNamespace:
        self.asked = words
        return SimpleNamespace(settings=SimpleNamespace(sync_dir="DIR"), url="URL")


def test_wandb_is_offline_and_below_the_run_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    wandb = PretendedWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    opening = Opening(tmp_path / "sweep 1" / "mine", {"seed": 1}, "seed: 1")
    assert tracker_of("wandb") is WandbRun
    assert WandbRun(opening, "abc").words == "wandb sync DIR"
    asked = wandb.asked
    assert (asked["mode"], asked["id"], asked["project"]) == ("offline", "abc", "sweep_1")
    assert asked["dir"] == str(opening.folder)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert WandbRun(opening, "abc").words == "URL"
    assert (wandb.asked["mode"], wandb.asked["resume"]) == ("online", "allow")
