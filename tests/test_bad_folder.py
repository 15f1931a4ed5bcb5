"""What can go wrong with a run folder: told in one line with the remedy, and no work is lost."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import Lab, call, checkpoints, make_lab, outcome, refusal

from pfedmma_dist.pieces import Changing, Piece
from pfedmma_dist.run import checkpoint, shards
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.world import World

Told = Callable[..., str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with the finished run `whole`."""
    lab = make_lab(tmp_path_factory.mktemp("bad_folder"))
    assert call(lab.words("whole")) == 0
    return lab


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Return a function that starts a run and returns why it is refused."""
    return lambda lab, name="refused", *words, **changes: refusal(
        capsys, [*lab.words(name, **changes), *words]
    )


def test_run_folder_below_a_file_is_told(lab: Lab, told: Told) -> None:
    (lab.path / "file").touch()
    text = told(lab, run__folder=lab.path / "file" / "run")
    assert f"run.folder: cannot write to {lab.path}/file" in text
    assert "it is, or lies below, a file; set run.folder to a new folder" in text
    assert "or lies below, a file" in told(lab, run__folder=lab.path / "file")


def test_folder_of_something_else_is_left_alone(lab: Lab, told: Told, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    text = told(lab, run__folder=tmp_path)
    assert f"run.folder: {tmp_path} holds no run, but something else (thesis.tex)" in text
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.tex"]


def test_folder_with_a_foreign_config_is_refused(lab: Lab, told: Told, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("trainer: {gpus: 4}\n")
    text = told(lab, run__folder=tmp_path)
    assert f"run.folder: {tmp_path} holds no run of this program that can go on" in text
    assert "unknown key trainer" in text


def full_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_full_disk_leaves_the_last_checkpoint_to_go_on_from(
    lab: Lab, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = shards.write, []

    def fills_up(path: Path, state: Changing) -> tuple[Piece, list[Piece]]:
        written.append(path)
        if len(written) == 5:  # the second shard of round 4, behind the three of round 2
            full_disk()
        return write(path, state)

    with monkeypatch.context() as context:
        context.setattr(checkpoint, "write_shard", fills_up)
        text = told(lab, "full")
    folder = lab.folder("full")
    assert f"run.folder: cannot save {folder}/checkpoints/round_000004: " in text
    assert f"the newest intact checkpoint is {folder}/checkpoints/round_000002" in text
    assert checkpoints(folder) == ["round_000002"]
    assert call(lab.words("full")) == 0
    assert outcome(folder) == outcome(lab.folder("whole"))


def test_full_disk_of_the_report_is_told_as_well(
    lab: Lab, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfedmma_dist.run.metrics.MetricsFile.append", full_disk)
    text = told(lab, "report")
    assert f"run.folder: cannot write to {lab.folder('report')} (No space left on device)" in text


def test_full_disk_of_the_log_stays_out_of_sight(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lab.folder("log")
    folder.mkdir()
    (folder / "log.txt").symlink_to("/dev/full")
    assert call(lab.words("log", federation__rounds=1)) == 0
    assert "Traceback" not in capsys.readouterr().err


def damage_all(lab: Lab, name: str) -> Path:
    """Return an unfinished copy of the whole run, all its checkpoints cut short."""
    folder = lab.folder(name)
    shutil.copytree(lab.folder("whole"), folder)
    (folder / "result.json").unlink()
    for server in folder.glob("checkpoints/*/server.safetensors"):
        server.write_bytes(server.read_bytes()[:-1])
    return folder


def test_checkpoints_that_are_all_damaged_are_refused(lab: Lab, told: Told) -> None:
    folder = damage_all(lab, "damaged")
    text = told(lab, "damaged")
    assert f"run.folder: every checkpoint in {folder}/checkpoints is damaged" in text


def test_checkpoint_of_another_layout_is_refused(lab: Lab, told: Told) -> None:
    other = lab.path / "other.json"
    sizes = json.loads((lab.path / "clip.json").read_text())
    sizes["text_cfg"] |= {"width": 32, "heads": 1}
    other.write_text(json.dumps(sizes))
    folder = lab.folder("layout")
    shutil.copytree(lab.folder("whole"), folder)
    (folder / "result.json").unlink()
    (folder / "config.yaml").unlink()
    text = told(lab, "layout", clip__model=other)
    assert "run.folder: " in text
    assert "the text tower's weights differ (clip.model=" in text


def test_run_in_progress_keeps_others_out(lab: Lab, told: Told) -> None:
    running = RunFolder(lab.folder("busy"))
    running.claim(World.alone())
    text = told(lab, "busy")
    running.release()
    assert f"run.folder: {lab.folder('busy')} is in use by process {os.getpid()}" in text


def test_remedy_may_be_tried_in_the_same_folder_while_nothing_is_saved(
    lab: Lab, told: Told
) -> None:
    told(lab, "remedy", optim__lr=1e30)
    assert call(lab.words("remedy")) == 0
    assert outcome(lab.folder("remedy")) == outcome(lab.folder("whole"))


def test_configuration_of_a_run_that_was_moved_does_not_begin_anew(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(lab.folder("whole"), moved)
    text = refusal(capsys, [str(moved / "config.yaml")])
    assert f"of a run that lies in {moved}, and would train in {lab.folder('whole')}" in text
    assert f"give run.folder={moved} to go on with it" in text
    assert call([str(moved / "config.yaml"), f"run.folder={moved}"]) == 0
    assert call([str(lab.folder("whole") / "config.yaml")]) == 0  # where it lies
