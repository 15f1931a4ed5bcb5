"""Checkpoints: what was saved comes back, and no accident costs more than the last one."""

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from pfedmma_dist.run import stored
from pfedmma_dist.run.checkpoint import CheckpointError, save, settle
from pfedmma_dist.run.loading import Loaded, load
from pfedmma_dist.world import World

META = {
    "fingerprint": "abc",
    "num_shards": 2,
    "seconds": 1.5,
    "unscored": None,
    "configuration": {"seed": 1},
    "task": {"images": "0f"},
    "weights": {"image": "1f"},
}
TABLE = "round,loss\n0,1.5\n"


def keep(
    folder: Path,
    round_index: int,
    num_kept: int = 2,
    value: float | None = None,
    meta: dict[str, Any] = META,
) -> Path:
    """Save shard 0 with two clients, shard 1 with none; numbers tell the round."""
    number = round_index if value is None else value
    shard = {"ids": torch.tensor([4, 7]), "rows": torch.full((2, 3), float(number))}
    server = {"shared": torch.tensor([float(number)])}
    return save(
        folder, World.alone(), round_index, {0: shard, 1: {}}, server, meta, num_kept, TABLE
    )


def read(folder: Path, fingerprint: str = "abc", num_shards: int = 2) -> Loaded | None:
    return load(folder, World.alone(), list(range(num_shards)), fingerprint, num_shards)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_saved_state_comes_back(tmp_path: Path) -> None:
    path = keep(tmp_path, 50)
    loaded = read(tmp_path)
    assert path == tmp_path / "round_000050"
    assert loaded.round_index == 50
    assert loaded.meta == META
    assert loaded.shards[0]["ids"].tolist() == [4, 7]
    assert torch.equal(loaded.shards[0]["rows"], torch.full((2, 3), 50.0))
    assert loaded.server["shared"].tolist() == [50.0]
    assert loaded.metrics == TABLE


def test_shard_without_clients_has_no_file_and_says_so(tmp_path: Path) -> None:
    path = keep(tmp_path, 1)
    assert names(path) == [
        "manifest.json", "metrics.csv", "server.safetensors", "shard_000.safetensors"
    ]  # fmt: skip
    outer = json.loads((path / "manifest.json").read_text())
    assert outer["checkpoint"]["files"]["shard_001.safetensors"] is None
    assert read(tmp_path).shards[1] == {}


def test_server_without_state_is_saved(tmp_path: Path) -> None:
    save(tmp_path, World.alone(), 1, {0: {}, 1: {}}, {}, META, 2)
    assert read(tmp_path).server == {}


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "absent") is None
    assert read(tmp_path) is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for round_index in (10, 20, 30):
        keep(tmp_path, round_index)
    assert names(tmp_path) == ["round_000020", "round_000030"]


def test_loaded_tensors_do_not_need_the_file(tmp_path: Path) -> None:
    keep(tmp_path, 5)
    loaded = read(tmp_path)
    shutil.rmtree(tmp_path / "round_000005")
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert loaded.shards[0]["rows"].sum() == 30


@pytest.mark.parametrize(
    "file", ["shard_000.safetensors", "server.safetensors", "metrics.csv", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damaged_file_falls_back_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, damage: str
) -> None:
    keep(tmp_path, 1)
    bad = keep(tmp_path, 2) / file
    if damage == "flipped":
        flip(bad, bad.stat().st_size - 12)
    elif damage == "truncated":
        os.truncate(bad, bad.stat().st_size - 5)
    else:
        bad.unlink()
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path).round_index == 1
    assert file in caplog.text
    assert "round_000002" in caplog.text


def test_all_damaged_is_an_error_and_no_silent_restart(tmp_path: Path) -> None:
    for round_index in (1, 2):
        flip(keep(tmp_path, round_index) / "shard_000.safetensors", -1)
    with pytest.raises(ValueError, match="run.folder: every checkpoint .* is damaged"):
        read(tmp_path)


def test_rounds_behind_a_fall_back_do_not_push_out_intact_ones(tmp_path: Path) -> None:
    keep(tmp_path, 40)
    keep(tmp_path, 50)
    flip(keep(tmp_path, 60) / "server.safetensors", -1)
    keep(tmp_path, 55)
    assert names(tmp_path) == ["round_000050", "round_000055"]


def test_other_layout_names_both(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    with pytest.raises(ValueError, match=r"run\.folder: .* layout abc, this run has xyz"):
        read(tmp_path, fingerprint="xyz")


def test_other_number_of_shards_names_both(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    with pytest.raises(ValueError, match=r"federation\.num_shards: .* 2 shards, this run has 5"):
        read(tmp_path, num_shards=5)


def test_left_overs_of_a_crash_are_not_read_and_go_at_the_next_save(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    shutil.copytree(tmp_path / "round_000001", tmp_path / ".round_000009.tmp")
    assert read(tmp_path).round_index == 1
    keep(tmp_path, 2)
    assert names(tmp_path) == ["round_000001", "round_000002"]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left on device")],
)
def test_full_disk_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    keep(tmp_path, 1)

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(stored, "save_file", full)
    with pytest.raises(CheckpointError, match="run.folder.*No space left.*intact.*round_000001"):
        keep(tmp_path, 2)
    monkeypatch.undo()
    assert names(tmp_path) == ["round_000001"]
    assert read(tmp_path).round_index == 1


def test_first_save_that_fails_says_that_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="no earlier checkpoint"):
        keep(tmp_path / "file", 1)


class Killed(BaseException):
    """Stand for kill -9: nothing catches it."""


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("round_index", [2, 3])
def test_kill_at_any_rename_leaves_an_intact_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, round_index: int
) -> None:
    keep(tmp_path, 1)
    keep(tmp_path, 2)
    real, calls = os.replace, []

    def replace(source: Path, target: Path) -> None:
        if len(calls) == step:
            raise Killed
        calls.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    killed = False
    try:
        keep(tmp_path, round_index, num_kept=1, value=9.0)
    except Killed:
        killed = True
    monkeypatch.undo()
    assert killed == (step < 5)
    loaded = read(tmp_path)
    assert loaded.round_index >= 2
    assert float(loaded.server["shared"]) in (2.0, 9.0)
    keep(tmp_path, 4, num_kept=1)
    assert names(tmp_path) == ["round_000004"]


def test_same_round_is_replaced(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    keep(tmp_path, 1, value=8.0)
    assert names(tmp_path) == ["round_000001"]
    assert float(read(tmp_path).server["shared"]) == 8.0


def test_numbers_that_json_lacks_do_not_spoil_the_manifest(tmp_path: Path) -> None:
    meta = META | {"unscored": {"loss": float("nan"), "pair": (1, 2)}}
    save(tmp_path, World.alone(), 1, {0: {}, 1: {}}, {}, meta, 2)
    assert read(tmp_path).meta["unscored"]["loss"] is None


DUE = {"unscored": {"loss": 1.0}}


def settled(folder: Path, round_index: int = 2) -> bool:
    return settle(folder, World.alone(), round_index, META, TABLE + "1,0.5\n")


def due(folder: Path, round_index: int = 2) -> Path:
    """Save a round whose scores are due, behind one that is done."""
    keep(folder, round_index - 1)
    return keep(folder, round_index, meta=META | DUE)


def test_scored_round_is_told_so_and_its_state_not_written_again(tmp_path: Path) -> None:
    path = due(tmp_path)
    before = {name: (path / name).stat().st_ino for name in names(path)}
    assert read(tmp_path).meta["unscored"] == DUE["unscored"]
    assert settled(tmp_path)
    loaded = read(tmp_path)
    assert (loaded.round_index, loaded.meta) == (2, META)
    assert loaded.metrics == TABLE + "1,0.5\n"
    assert torch.equal(loaded.shards[0]["rows"], torch.full((2, 3), 2.0))
    same = {name for name, node in before.items() if (path / name).stat().st_ino == node}
    assert same == {"server.safetensors", "shard_000.safetensors"}
    assert names(tmp_path) == ["round_000001", "round_000002"]


def test_checkpoint_that_cannot_be_linked_or_read_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = due(tmp_path)
    with monkeypatch.context() as context:
        context.setattr(os, "link", refuse)
        assert not settled(tmp_path)
    assert read(tmp_path).meta["unscored"] == DUE["unscored"]
    flip(path / "manifest.json", 30)
    assert not settled(tmp_path)
    assert read(tmp_path).round_index == 1


def refuse(*words: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "no links here")


def test_death_at_any_operation_leaves_the_scores_due_or_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        due(folder)
        left = iter(range(number))

        def dying(*words: object, real: Callable[..., Any], left: Iterator[int] = left) -> Any:
            if next(left, None) is None:
                raise Killed
            return real(*words)

        with monkeypatch.context() as context:
            for name in ("link", "mkdir", "replace", "fsync"):
                context.setattr(os, name, partial(dying, real=getattr(os, name)))
            try:
                whole = settled(folder)
            except Killed:
                whole = False
        loaded = read(folder)
        assert loaded.round_index == 2
        assert torch.equal(loaded.shards[0]["rows"], torch.full((2, 3), 2.0))
        is_scored = loaded.meta["unscored"] is None
        assert loaded.metrics == TABLE + "1,0.5\n" * is_scored
        seen.add((is_scored, whole))
        if whole:
            break
    assert seen == {(False, False), (True, False), (True, True)}
