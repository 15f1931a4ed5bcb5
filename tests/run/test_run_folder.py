"""The run folder: whole files, one owner, and clear words where that cannot be."""

import errno
import fcntl
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.run import result
from pfedmma_dist.run.files import write_json, write_text_atomically
from pfedmma_dist.run.folder import EVENTS, RunFolder
from pfedmma_dist.world import World

ROW = {
    "name": "a", "scores": {"local_mean": 60.0}, "trained": 1, "up_numbers": 1, "down_numbers": 1,
    "up_bytes": 4, "down_bytes": 4,
}  # fmt: skip


def test_folders_are_made_and_a_probe_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    folder.claim(World.alone())
    assert [path.name for path in folder.path.iterdir()] == [".lock"]
    folder.create()
    folder.release()
    made = sorted(path.name for path in folder.path.iterdir())
    assert made == [".lock", "checkpoints", "figures"]


def test_claim_reports_the_unwritable_folder_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"run\.folder: cannot write"):
        RunFolder(tmp_path / "file").claim(World.alone())


def test_second_owner_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.claim(World.alone())
    with pytest.raises(ValueError, match=rf"in use by process {os.getpid()} on host "):
        RunFolder(tmp_path).claim(World.alone())
    folder.release()


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pfedmma_dist.run.folder import RunFolder; RunFolder(sys.argv[1]).lock()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    folder = RunFolder(tmp_path)
    folder.lock()
    assert folder.lock_file.read_text().startswith(f"process {os.getpid()} ")
    folder.release()


def test_disk_without_locks_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING):
        RunFolder(tmp_path).lock()
    assert "no file locks here" in caplog.text


def test_result_is_none_until_the_run_is_finished(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert result.read(folder) is None
    result.write(folder, {"results": [ROW]})
    assert result.read(folder)["results"] == [ROW]


def test_failed_write_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text_atomically(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_json_takes_numpy_and_turns_nan_into_null(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": np.float64("nan"), "b": np.int64(3), "c": np.arange(2), "d": (1.5,)})
    assert json.loads(path.read_text()) == {"a": None, "b": 3, "c": [0, 1], "d": [1.5]}


@pytest.mark.parametrize("name", [".bashrc", ".ssh", ".git", ".lock.swp", ".tmp"])
def test_folder_that_holds_only_dot_files_belongs_to_somebody(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ValueError) as error:
        RunFolder(tmp_path).claim(World.alone())
    assert str(error.value) == (
        f"run.folder: {tmp_path} holds no run, but something else ({name}); set run.folder "
        "to a new or empty folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", [".probe", ".config.yaml.tmp", "..probe.tmp", ".nfs00ab"])
def test_what_a_start_that_was_cut_off_leaves_is_no_stranger(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    folder = RunFolder(tmp_path)
    folder.claim(World.alone())
    folder.release()
    assert not folder.lock_file.exists()


def test_copy_of_a_run_that_lost_its_lock_is_no_stranger(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    (tmp_path / f"{EVENTS}1700000000.host").touch()
    folder = RunFolder(tmp_path)
    folder.claim(World.alone())
    folder.release()
    assert len([*tmp_path.iterdir()]) == 2
