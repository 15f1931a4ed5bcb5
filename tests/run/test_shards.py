"""Shard files: what has not changed is linked, and every checkpoint is whole by itself."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pfedmma_dist.federation.clients import ClientStore
from pfedmma_dist.pieces import Parts
from pfedmma_dist.run import manifest, shards, stored
from pfedmma_dist.run.checkpoint import CheckpointError, save
from pfedmma_dist.run.loading import load
from pfedmma_dist.world import World

META = {
    "fingerprint": "abc", "num_shards": 1, "seconds": 1.5, "unscored": None,
    "configuration": {}, "task": {}, "weights": {},
}  # fmt: skip
ALL, SHARD = np.arange(40), "shard_000.safetensors"


@pytest.fixture
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every shard be too large to be written whole."""
    monkeypatch.setattr(shards, "SMALL", 0)
    monkeypatch.setattr(stored, "SMALL", 0)


def new() -> ClientStore:
    return ClientStore(torch.zeros(3), {0: ALL}, torch.device("cpu"))


def train(store: ClientStore, clients: np.ndarray, value: float) -> None:
    store.scatter(clients, torch.full((len(clients), 3), value))


def keep(store: ClientStore, folder: Path, index: int, num_kept: int | None = 2) -> Path:
    state = {0: store.state(0)}
    return save(folder, World.alone(), index, state, {"x": torch.ones(1)}, META, num_kept)


def again(folder: Path, trained: np.ndarray) -> tuple[ClientStore, int]:
    """Return a store that has loaded the newest checkpoint, and its round."""
    store = new()

    def accept(loaded: object) -> None:
        store.load(0, loaded.shards[0], trained)

    return store, load(folder, World.alone(), [0], "abc", 1, accept=accept).round_index


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir() if file.name.startswith("shard"))


def test_file_is_that_of_the_library(tmp_path: Path) -> None:
    store = new()
    train(store, np.array([7, 2, 30]), 5.0)
    path = keep(store, tmp_path, 1)
    save_file(dict(store.state(0)), tmp_path / "theirs")
    assert files(path) == [SHARD]
    assert (path / SHARD).read_bytes() == (tmp_path / "theirs").read_bytes()


def test_small_shard_is_written_whole_each_time(tmp_path: Path) -> None:
    store = new()
    for index in (1, 2):
        train(store, ALL[:index], float(index))
        assert files(keep(store, tmp_path, index)) == [SHARD]


@pytest.mark.usefixtures("_large")
def test_rows_that_have_not_changed_are_linked_and_not_written(tmp_path: Path) -> None:
    store = new()
    train(store, ALL, 1.0)
    first = keep(store, tmp_path, 1, None)
    train(store, ALL[3:5], 2.0)
    second = keep(store, tmp_path, 2, None)
    [link] = set(files(second)) - {SHARD}
    assert (second / link).samefile(first / SHARD)
    assert stored.load_file(second / SHARD)["ids"].tolist() == [3, 4]
    found, index = again(tmp_path, ALL)
    assert index == 2
    assert torch.equal(found.gather(ALL), store.gather(ALL))
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert isinstance(stored.read_shard(second, manifest.read(second), 0), Parts)
    train(found, ALL[9:10], 3.0)  # a start later goes on with the same files
    third = keep(found, tmp_path, 3, None)
    assert stored.load_file(third / SHARD)["ids"].tolist() == [9]
    assert len(files(third)) == 3


@pytest.mark.usefixtures("_large")
def test_checkpoint_outlives_those_that_its_rows_were_first_written_in(tmp_path: Path) -> None:
    store = new()
    train(store, ALL, 0.0)
    for index in range(1, 6):
        keep(store, tmp_path, index, 1)
        train(store, ALL[index : index + 1], float(index))
    assert [path.name for path in tmp_path.iterdir()] == ["round_000005"]
    found, _ = again(tmp_path, ALL)
    assert found.gather(ALL[:7])[:, 0].tolist() == [0, 1, 2, 3, 4, 0, 0]


@pytest.mark.usefixtures("_large")
def test_file_that_is_mostly_outdated_is_given_up(tmp_path: Path) -> None:
    store = new()
    train(store, ALL, 1.0)
    keep(store, tmp_path, 1)
    train(store, ALL[:21], 2.0)
    path = keep(store, tmp_path, 2)
    assert files(path) == [SHARD]
    assert torch.equal(again(tmp_path, ALL)[0].gather(ALL), store.gather(ALL))


@pytest.mark.usefixtures("_large")
def test_rows_lie_in_few_files_however_often_they_are_saved(tmp_path: Path) -> None:
    store = ClientStore(torch.zeros(3), {0: np.arange(60)}, torch.device("cpu"))
    written = 0
    for index in range(1, 60):
        train(store, np.array([index]), float(index))
        path = keep(store, tmp_path, index, 1)
        assert len(files(path)) <= shards.MOST
        written += len(stored.load_file(path / SHARD)["ids"])
    assert written < 3 * 60  # where all of them each time would be 1,770


@pytest.mark.usefixtures("_large")
def test_where_no_link_can_be_made_all_rows_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    store = new()
    train(store, ALL, 1.0)
    keep(store, tmp_path, 1)
    train(store, ALL[:1], 2.0)
    path = keep(store, tmp_path, 2)
    assert files(path) == [SHARD]
    assert len(stored.load_file(path / SHARD)["ids"]) == len(ALL)


@pytest.mark.usefixtures("_large")
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "gone"])
def test_file_that_was_spoilt_is_not_linked_again(tmp_path: Path, cut: bool) -> None:
    store = new()
    train(store, ALL, 1.0)
    spoilt = keep(store, tmp_path, 1) / SHARD
    if cut:
        os.truncate(spoilt, 99)
    else:
        spoilt.unlink()
    train(store, ALL[:1], 2.0)
    keep(store, tmp_path, 2)
    found, index = again(tmp_path, ALL)
    assert index == 2
    assert torch.equal(found.gather(ALL), store.gather(ALL))


@pytest.mark.usefixtures("_large")
def test_damaged_link_is_damage_of_the_checkpoint(tmp_path: Path) -> None:
    store = new()
    train(store, ALL, 1.0)
    keep(store, tmp_path, 1)
    train(store, ALL[:1], 2.0)
    path = keep(store, tmp_path, 2)
    [link] = set(files(path)) - {SHARD}
    (path / link).unlink()
    assert again(tmp_path, ALL)[1] == 1


@pytest.mark.usefixtures("_large")
def test_any_course_of_rounds_failures_and_starts_is_loaded_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, store, saved = np.random.default_rng(0), new(), None
    publish = manifest.write

    def fail(*given: object) -> None:
        raise OSError("the disk is full")

    for index in range(1, 80):
        clients = np.unique(draw.integers(0, 40, draw.integers(1, 6)))
        train(store, clients, float(index))
        failing = draw.random() < 0.2
        monkeypatch.setattr(manifest, "write", fail if failing else publish)
        try:
            keep(store, tmp_path, index)
            assert not failing
            saved = index, store.gather(ALL), store.state(0)["ids"].numpy()
        except CheckpointError:
            assert failing
        if saved and draw.random() < 0.2:
            store, found = again(tmp_path, saved[2])
            assert found == saved[0]
            assert torch.equal(store.gather(ALL), saved[1])


def killed_at(operation: int, store: ClientStore, folder: Path) -> bool:
    """Save in a process that is gone at its n-th file operation; return whether it had as many."""
    pid = os.fork()
    if pid == 0:
        left = operation

        def counted(action: object) -> object:
            def act(*given: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return action(*given, **named)

            return act

        for name in ("link", "replace", "fsync", "mkdir", "unlink", "rmdir"):
            setattr(os, name, counted(getattr(os, name)))
        keep(store, folder, 2, 1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.usefixtures("_large")
def test_process_killed_at_any_operation_of_a_save_leaves_the_one_before_or_the_new_one(
    tmp_path: Path,
) -> None:
    found, operation = set(), 0
    while True:
        folder, store = tmp_path / str(operation), new()
        train(store, ALL, 1.0)
        keep(store, folder, 1, 1)
        before = store.gather(ALL)
        train(store, ALL[:3], 2.0)
        killed = killed_at(operation, store, folder)
        again_store, index = again(folder, ALL)
        assert torch.equal(again_store.gather(ALL), before if index == 1 else store.gather(ALL))
        train(again_store, ALL[7:8], 3.0)  # and the next save goes on from there
        keep(again_store, folder, 3, 1)
        assert torch.equal(again(folder, ALL)[0].gather(ALL), again_store.gather(ALL))
        found.add(index)
        operation += 1
        if not killed:
            break
    assert found == {1, 2}
    assert operation > 8
