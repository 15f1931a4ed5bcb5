"""Where features are kept, who waits for whom, and what a full or foreign disk says."""

import errno
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pfedmma_dist.clip import storage
from pfedmma_dist.clip.storage import (
    GIB,
    DiskStorage,
    MemoryStorage,
    allocate,
    fits_memory,
)
from pfedmma_dist.config.keys import CacheMode, ClipConfig

pytestmark = pytest.mark.usefixtures("shared_memory")


@pytest.fixture
def cfg(tmp_path: Path) -> ClipConfig:
    return ClipConfig(cache_folder=str(tmp_path / "cache"), cache_memory=2.0)


def free(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    """Let every disk, and the shared memory, have this much room."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=gib * GIB))


def write(kept: DiskStorage | MemoryStorage, text: bytes) -> None:
    kept.work.mkdir(parents=True)
    (kept.work / "final.bin").write_bytes(text)


@pytest.mark.parametrize(
    "mode, gib, fits",
    [
        (CacheMode.auto, 1.9, True),
        (CacheMode.auto, 2.1, False),
        (CacheMode.ram, 1.9, True),
        (CacheMode.disk, 0.1, False),
    ],
)
def test_memory_is_used_within_cache_memory(
    cfg: ClipConfig, monkeypatch: pytest.MonkeyPatch, mode: CacheMode, gib: float, fits: bool
) -> None:
    free(monkeypatch, 100)
    cfg.cache = mode
    assert fits_memory(cfg, int(gib * GIB)) is fits


def test_memory_is_not_filled_to_the_brim(cfg: ClipConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1)
    assert fits_memory(cfg, int(0.8 * GIB))
    assert not fits_memory(cfg, int(0.95 * GIB))


def test_a_host_without_shared_memory_uses_the_disk(cfg: ClipConfig, shared_memory: Path) -> None:
    shared_memory.rmdir()
    assert not fits_memory(cfg, 1)


def test_a_cache_that_must_be_in_memory_and_is_too_large_says_how_much_it_needs(
    cfg: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 100)
    cfg.cache = CacheMode.ram
    with pytest.raises(ValueError, match=r"clip\.cache: ram, .* needs 3\.50 GiB; .* is 2 GiB"):
        fits_memory(cfg, int(3.5 * GIB))


def test_a_cache_that_fits_nowhere_says_how_much_it_needs_and_how_much_there_is(
    cfg: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 3)
    words = (
        r"clip\.cache_folder: .* needs 3\.50 GiB; .* has 3\.00 GiB free, .* 2\.00 GiB are allowed"
    )
    with pytest.raises(ValueError, match=words):
        DiskStorage(cfg, "k", True).check_room(int(3.5 * GIB))


def test_a_cache_that_fits_on_disk_has_room(
    cfg: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 4)
    DiskStorage(cfg, "k", True).check_room(int(3.5 * GIB))


@pytest.mark.parametrize("leads", [True, False])
def test_a_folder_that_cannot_be_made_is_refused_by_all_ranks(
    cfg: ClipConfig, tmp_path: Path, leads: bool
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ValueError, match=r"clip\.cache_folder: .*cache cannot be used: .*disk of"):
        DiskStorage(cfg, "k", leads)


def test_a_disk_that_cannot_lock_is_refused(
    cfg: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(storage.fcntl, "flock", refuse)
    with pytest.raises(ValueError, match=r"clip\.cache_folder: .* Function not implemented"):
        DiskStorage(cfg, "k", True)


def test_files_are_made_at_full_length(tmp_path: Path) -> None:
    allocate(tmp_path / "work", {"a.bin": 5000, "empty.bin": 0})
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "work").iterdir()}
    assert sizes == {"a.bin": 5000, "empty.bin": 0}


def test_a_disk_that_fills_up_is_told_and_keeps_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(ValueError, match=r"clip\.cache: .* needs 1\.00 GiB, .* No space left"):
        allocate(tmp_path / "work", {"a.bin": GIB})
    assert not (tmp_path / "work").exists()


def test_what_a_killed_run_left_is_removed(cfg: ClipConfig) -> None:
    killed = DiskStorage(cfg, "k", True)
    write(killed, b"half")
    killed.close()
    again = DiskStorage(cfg, "k", True)
    assert not again.found() and not again.work.exists()


def test_finished_files_are_found_by_the_next_run(cfg: ClipConfig) -> None:
    first = DiskStorage(cfg, "k", True)
    write(first, b"whole")
    assert not first.found()
    folder = first.finished()
    first.close()
    assert DiskStorage(cfg, "k", True).found()
    assert (folder / "final.bin").read_bytes() == b"whole"
    assert not first.work.exists()


def test_another_key_finds_nothing(cfg: ClipConfig) -> None:
    first = DiskStorage(cfg, "k", True)
    write(first, b"whole")
    first.finished()
    assert not DiskStorage(cfg, "j", True).found()


def test_files_that_lost_their_manifest_are_replaced(cfg: ClipConfig) -> None:
    first = DiskStorage(cfg, "k", True)
    write(first, b"old")
    (first.finished() / "manifest.json").unlink()
    assert not first.found()
    write(first, b"new")
    assert (first.finished() / "final.bin").read_bytes() == b"new"


def test_files_that_another_host_finished_first_are_kept(cfg: ClipConfig) -> None:
    slow, fast = DiskStorage(cfg, "k", True), DiskStorage(cfg, "k", False)
    write(slow, b"same")
    fast.kept.mkdir()
    (fast.kept / "manifest.json").write_text("theirs")
    assert slow.finished() == fast.kept
    assert (fast.kept / "manifest.json").read_text() == "theirs"
    assert not slow.work.exists()


def test_a_rank_that_does_not_lead_publishes_nothing(cfg: ClipConfig) -> None:
    leader, other = DiskStorage(cfg, "k", True), DiskStorage(cfg, "k", False)
    write(leader, b"half")
    other.finished()
    other.close()
    assert not leader.found() and leader.work.exists()


def test_a_run_waits_for_another_at_the_same_key(cfg: ClipConfig) -> None:
    first, found = DiskStorage(cfg, "k", True), []

    def second_run() -> None:
        second = DiskStorage(cfg, "k", True)
        found.append(second.found())
        second.close()

    thread = threading.Thread(target=second_run)
    thread.start()
    write(first, b"whole")
    first.finished()
    first.close()
    thread.join(timeout=20)
    assert found == [True]


def test_runs_at_other_keys_do_not_wait(cfg: ClipConfig) -> None:
    first, second = DiskStorage(cfg, "k", True), DiskStorage(cfg, "j", True)
    assert not first.lock.closed and not second.lock.closed


def test_names_in_memory_go_once_they_are_mapped(shared_memory: Path) -> None:
    kept = MemoryStorage(True, True)
    write(kept, b"x")
    kept.mapped()
    assert not list(shared_memory.iterdir())
    kept.close()


def test_names_in_memory_go_after_a_failure_too(shared_memory: Path) -> None:
    kept = MemoryStorage(True, True)
    write(kept, b"x")
    kept.close()
    assert not list(shared_memory.iterdir())


def test_names_in_memory_are_the_leaders_to_remove() -> None:
    leader, other = MemoryStorage(False, True), MemoryStorage(False, False)
    write(leader, b"x")
    assert leader.work == other.work
    other.mapped()
    other.close()
    assert leader.work.exists()


def test_single_runs_that_inherit_one_port_do_not_share_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASTER_PORT", "29500")
    ours = MemoryStorage(True, True).work
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert MemoryStorage(True, True).work != ours
    assert MemoryStorage(False, True).work == MemoryStorage(False, False).work
