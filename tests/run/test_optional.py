"""A result outlives whatever can be done without: pictures, TensorBoard, odd names, a full disk."""

import ast
import errno
import json
import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch.utils.tensorboard
from dealt import dealt
from PIL import Image
from runs import blank, call, make_lab
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from pfedmma_dist.run import drawing, figures, pictures, report
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.optional import optional
from pfedmma_dist.run.pictures import draw_missing
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.world import World

ROOT = Path(__file__).parents[2]
SCORES = {"local": np.array([90.0, 70.0]), "global": np.array([50.0, 30.0])}
ODD = {"price_$5_to_$10": np.array([0]), "_a\nb\\frac{": np.array([1])}
RESULT = MethodResult(
    name="tuned", scores={"local_mean": 80.0}, trained=1, up_numbers=1, down_numbers=1, up_bytes=4,
    down_bytes=4,
)  # fmt: skip


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave blank files for pictures, which take most of the time where something else is tried."""
    for module in (report, pictures):
        monkeypatch.setattr(module, "save", blank)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def open_report(path: Path, start: int = 0, domains: dict[str, np.ndarray] | None = None) -> Report:
    folder = RunFolder(path)
    folder.create()
    clients = ClientTable.count(3, *dealt(2, lambda client: np.array([client, 2])), domains)
    return Report(folder, World.alone(), clients, list(SCORES), {"seed": 1}, "seed: 1", start)


def play(report: Report, rounds: range = range(2)) -> None:
    for index in rounds:
        report.round(
            RoundRecord(
                round_index=index, loss=1.0, samples=4, train_seconds=1.0, client_up_bytes=4,
                client_down_bytes=4, rank_bytes=4, scores=SCORES,
            )
        )  # fmt: skip
    zero_shot = {"local_mean": 50.0}
    report.finish(SCORES, zero_shot, [replace(RESULT, scores=zero_shot), RESULT], {})


def is_finished(path: Path) -> bool:
    rows = (path / "metrics.csv").read_text().splitlines()
    result = json.loads((path / "result.json").read_text())
    return len(rows) == 3 and (path / "clients.csv").exists() and len(result["results"]) == 2


def test_nothing_else_catches_every_exception() -> None:
    found = []
    for path in (*(ROOT / "pfedmma_dist").rglob("*.py"), *(ROOT / "launch").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = "" if node.type is None else ast.unparse(node.type)
                if not caught or {"Exception", "BaseException"} & set(
                    caught.strip("()").split(", ")
                ):
                    found.append(path.name)
    assert sorted(found) == ["importing.py", "optional.py"]  # the first tells it as an error


def test_warning_says_what_is_missing_and_why(caplog: pytest.LogCaptureFixture) -> None:
    with optional("pictures"):
        raise RuntimeError("no\nroom")
    assert caplog.messages == ["going on without pictures (RuntimeError: no)"]


def test_interruption_is_no_failure_of_what_is_optional() -> None:
    with pytest.raises(KeyboardInterrupt), optional("pictures"):
        raise KeyboardInterrupt


@pytest.mark.usefixtures("undrawn")
def test_result_is_there_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []
    report = open_report(tmp_path)
    draw = figures.accuracy_over_rounds

    def looking(*words: object) -> object:
        there.append(is_finished(tmp_path))
        return draw(*words)

    monkeypatch.setattr(figures, "accuracy_over_rounds", looking)
    with report:
        play(report)
    assert there == [True]


@pytest.mark.usefixtures("undrawn")
def test_failing_picture_is_a_warning_and_the_others_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(figures, "own_versus", lambda *_: 1 / 0)
    with open_report(tmp_path) as report:
        play(report)
    assert is_finished(tmp_path)
    assert not (tmp_path / "figures" / "local_versus_global.png").exists()
    assert (tmp_path / "figures" / "accuracy_over_rounds.png").exists()
    assert caplog.messages == [
        "going on without figures/local_versus_global (ZeroDivisionError: division by zero)"
    ]


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.figure"])
def test_run_finishes_without_matplotlib(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with open_report(tmp_path) as report:
        play(report)
    assert is_finished(tmp_path)
    assert "going on without figures/accuracy_over_rounds (ModuleNotFoundError" in caplog.text
    assert not list((tmp_path / "figures").iterdir())


def test_disk_that_fills_while_drawing_leaves_no_half_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    move = os.replace
    monkeypatch.setattr(
        os, "replace", lambda old, new: (full if new.suffix == ".png" else move)(old, new)
    )
    with open_report(tmp_path) as report:
        play(report)
    assert is_finished(tmp_path)
    assert not list((tmp_path / "figures").iterdir())
    assert "No space left on device" in caplog.text


@pytest.mark.usefixtures("undrawn")
def test_tensorboard_that_is_missing_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with open_report(tmp_path) as report:
        play(report)
    assert is_finished(tmp_path)
    assert [text.split(" (")[0] for text in caplog.messages] == ["going on without TensorBoard"]
    assert len(list((tmp_path / "figures").iterdir())) == 3


@pytest.mark.usefixtures("undrawn")
def test_tensorboard_that_cannot_open_its_file_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.utils.tensorboard, "SummaryWriter", full)
    with open_report(tmp_path) as report:
        play(report)
    assert is_finished(tmp_path)
    assert len(caplog.messages) == 1
    assert "TensorBoard (OSError: [Errno 28] No space left" in caplog.text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("deed", ["write", "flush"])
def test_tensorboards_thread_may_fail_in_the_middle_of_a_run(
    deed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report = open_report(tmp_path)
    with report:
        monkeypatch.setattr(RecordWriter, deed, full)
        with caplog.at_level(logging.WARNING, logger="pfedmma_dist"):
            play(report)
    assert is_finished(tmp_path)
    told = [text for text in caplog.messages if "TensorBoard" in text]
    assert told == ["going on without TensorBoard (OSError: [Errno 28] No space left on device)"]


def test_odd_names_stand_in_every_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_report(tmp_path, domains=ODD) as report:
        play(report)
    assert not caplog.messages
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = {"domain/price_$5_to_$10", r"domain/_a\nb\frac{"}
    assert tags <= set(events.Tags()["scalars"])
    assert len(list((tmp_path / "figures").iterdir())) == 4


@pytest.mark.usefixtures("undrawn")
def test_no_picture_is_in_tensorboard_twice_after_a_kill_while_finishing(tmp_path: Path) -> None:
    with open_report(tmp_path) as report:
        play(report)
    (tmp_path / "result.json").unlink()  # as if killed before it
    with open_report(tmp_path, start=2) as report:
        play(report, range(0))
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    assert len(events.Tags()["images"]) == 3
    for tag in events.Tags()["images"]:
        assert len(events.Images(tag)) == 1, tag
    assert [event.step for event in events.Scalars("accuracy/local")] == [0, 1]


@pytest.mark.usefixtures("undrawn")
def test_no_picture_is_there_twice_where_nothing_is_trained(tmp_path: Path) -> None:
    for _ in range(2):
        with open_report(tmp_path) as report:
            report.finish(SCORES, {}, [RESULT], {})
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    for tag in events.Tags()["images"]:
        assert len(events.Images(tag)) == 1, tag
    assert len(events.Scalars("accuracy/local")) == 1


def test_pictures_that_a_kill_left_out_are_drawn_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with open_report(tmp_path / "whole", domains=ODD) as report:
        play(report)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole" / "figures").iterdir()}
    killed = open_report(tmp_path / "killed", domains=ODD)

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_module, "pictures", kill)
    with pytest.raises(KeyboardInterrupt), killed:
        play(killed)
    monkeypatch.undo()
    folder = RunFolder(tmp_path / "killed")
    assert [path.name for path in folder.figures.iterdir()] == ["classes_per_client.png"]
    with caplog.at_level(logging.INFO):
        draw_missing(folder, {}, "")
    assert {path.name: path.read_bytes() for path in folder.figures.iterdir()} == whole
    (line,) = caplog.messages
    assert line.startswith("drawing accuracy_over_rounds, ")
    caplog.clear()
    draw_missing(folder, {}, "")
    assert not caplog.messages
    events = EventAccumulator(str(folder.path), size_guidance={"images": 0})
    events.Reload()
    assert {tag.removeprefix("figures/") + ".png" for tag in events.Tags()["images"]} == set(whole)
    assert all(len(events.Images(tag)) == 1 for tag in events.Tags()["images"])
    assert [event.step for event in events.Scalars("accuracy/local")] == [0, 1]


report_module = report


def test_same_command_draws_what_a_finished_run_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path)
    assert call(lab.words("run"), drawn=True) == 0
    picture = lab.folder("run") / "figures" / "accuracy_over_rounds.png"
    before = picture.read_bytes()
    picture.unlink()
    assert call(lab.words("run"), drawn=True) == 0
    assert picture.read_bytes() == before
    told = f"drawing accuracy_over_rounds, missing in {picture.parent}"
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_clock_that_was_set_back_between_two_starts_loses_no_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for start, clock in ((0, now), (1, now - 7200), (2, now + 10)):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        with open_report(tmp_path, start=start) as report:
            play(report, range(start, start + 1))
    monkeypatch.undo()
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("accuracy/local")] == [0, 1, 2]


def test_run_with_broken_pictures_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drawing, "_as_written", full)
    monkeypatch.setattr(torch.utils.tensorboard, "SummaryWriter", full)
    lab = make_lab(tmp_path)
    assert call(lab.words("run"), drawn=True) == 0
    assert (lab.folder("run") / "result.json").exists()
    told = capsys.readouterr()
    assert "WARNING going on without figures/classes_per_client.png" in told.err
    assert "WARNING going on without TensorBoard" in told.err
    assert "Traceback" not in told.err
    assert "pfedmma" in told.out


def test_domain_whose_folder_is_no_utf8_has_a_column(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, train_images=())
    for domain in (b"caf\xe9", b"two"):
        for label in range(4):
            folder = os.fsencode(lab.data) + b"/%b/class_%d" % (domain, label)
            os.makedirs(folder)
            for index in range(6):
                pixels = np.random.default_rng(index).integers(0, 256, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(os.fsdecode(folder + b"/%d.png" % index))
    keys = {"data__task": "feature_shift", "federation__rounds": 1}
    assert call(lab.words("run", **keys), drawn=True) == 0
    header = (lab.folder("run") / "metrics.csv").read_text().splitlines()[0]
    assert r"domain_caf\udce9_mean_percent" in header
