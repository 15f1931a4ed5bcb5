"""A feature cache on disk: who waits for whom, what is found, what a full disk says."""

import errno
import fcntl
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pfedmma_dist.clip import disk as disk_module
from pfedmma_dist.clip.disk import DiskStorage
from pfedmma_dist.clip.storage import ABSENT, GIB
from pfedmma_dist.config.keys import ClipConfig

pytestmark = pytest.mark.usefixtures("shared_memory")

ALL = slice(None)
SIZES = {"final.bin": 5, "empty.bin": 0}
WORDS = {"about": "a test", "made_of": {"torch": "2"}}


@pytest.fixture
def cfg(tmp_path: Path) -> ClipConfig:
    return ClipConfig(cache_folder=str(tmp_path / "cache"), cache_memory=2.0)


def free(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    """Let every disk, and the shared memory, have this much room."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=gib * GIB))


def fill(kept: DiskStorage, text: bytes = b"whole") -> None:
    kept.create(SIZES)
    kept.open(SIZES)
    kept.extend(SIZES)
    kept.buffers(SIZES)["final.bin"][:] = text


def publish(kept: DiskStorage, text: bytes = b"whole") -> None:
    fill(kept, text)
    kept.publish(SIZES, kept.digests(SIZES, ALL), WORDS)


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

    monkeypatch.setattr(disk_module.fcntl, "flock", refuse)
    with pytest.raises(ValueError, match=r"clip\.cache_folder: .* Function not implemented"):
        DiskStorage(cfg, "k", True)


def test_files_are_made_at_full_length(cfg: ClipConfig) -> None:
    kept = DiskStorage(cfg, "k", True)
    fill(kept)
    assert {path.name: path.stat().st_size for path in kept.work.iterdir()} == SIZES


def test_a_disk_that_fills_up_is_told_and_keeps_no_files(
    cfg: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    kept = DiskStorage(cfg, "k", True)
    with pytest.raises(ValueError, match=r"clip\.cache: .* needs 0\.00 GiB, .* No space left"):
        fill(kept)
    assert not kept.work.exists()


@pytest.mark.parametrize("is_file", [True, False])
def test_what_a_killed_run_left_is_removed(cfg: ClipConfig, is_file: bool) -> None:
    killed = DiskStorage(cfg, "k", True)
    killed.work.write_text("no folder") if is_file else fill(killed)
    killed.close()
    again = DiskStorage(cfg, "k", True)
    assert again.look(SIZES, ALL) == ABSENT and not again.work.exists()


def test_finished_files_are_found_by_the_next_run(cfg: ClipConfig) -> None:
    first = DiskStorage(cfg, "k", True)
    assert first.look(SIZES, ALL) == ABSENT
    publish(first)
    first.close()
    again = DiskStorage(cfg, "k", True)
    assert again.look(SIZES, ALL) == ""
    found = again.finished(SIZES)
    assert bytes(found["final.bin"]) == b"whole" and bytes(found["empty.bin"]) == b""
    assert not first.work.exists()


def test_another_key_finds_nothing(cfg: ClipConfig) -> None:
    publish(DiskStorage(cfg, "k", True))
    assert DiskStorage(cfg, "j", True).look(SIZES, ALL) == ABSENT


def test_files_of_other_sizes_are_not_used(cfg: ClipConfig) -> None:
    publish(DiskStorage(cfg, "k", True))
    found = DiskStorage(cfg, "k", False).look({**SIZES, "empty.bin": 1}, ALL)
    assert "holds other files than belong into it" in found


def test_files_that_lost_their_manifest_while_others_were_made_are_replaced(
    cfg: ClipConfig,
) -> None:
    first, second = DiskStorage(cfg, "k", True), DiskStorage(cfg, "k", False)
    second.leads = True
    fill(second, b"newer")
    second.work.rename(second.folder / "aside")
    publish(first, b"older")
    (first.kept / "manifest.json").unlink()
    (second.folder / "aside").rename(second.work)
    second.publish(SIZES, second.digests(SIZES, ALL), WORDS)
    assert bytes(second.finished(SIZES)["final.bin"]) == b"newer"


def test_files_that_another_host_finished_first_are_kept(cfg: ClipConfig) -> None:
    slow, fast = DiskStorage(cfg, "k", True), DiskStorage(cfg, "k", False)
    fast.work, fast.leads = fast.work.with_suffix(".other"), True
    fill(slow)
    publish(fast)
    theirs = (fast.kept / "manifest.json").stat().st_ino
    slow.publish(SIZES, slow.digests(SIZES, ALL), WORDS)
    assert (slow.kept / "manifest.json").stat().st_ino == theirs
    assert not slow.work.exists()


def test_a_rank_that_does_not_lead_publishes_nothing(cfg: ClipConfig) -> None:
    leader, other = DiskStorage(cfg, "k", True), DiskStorage(cfg, "k", False)
    fill(leader)
    other.publish(SIZES, leader.digests(SIZES, ALL), WORDS)
    other.close()
    assert leader.look(SIZES, ALL) == ABSENT and leader.work.exists()


def test_a_run_waits_for_another_at_the_same_key(cfg: ClipConfig) -> None:
    first, found = DiskStorage(cfg, "k", True), []

    def second_run() -> None:
        second = DiskStorage(cfg, "k", True)
        found.append(second.look(SIZES, ALL))
        second.close()

    thread = threading.Thread(target=second_run)
    thread.start()
    publish(first)
    first.close()
    thread.join(timeout=20)
    assert found == [""]


def test_a_lock_that_is_removed_while_it_is_waited_for_is_made_anew(cfg: ClipConfig) -> None:
    first, second, names = DiskStorage(cfg, "k", True), [], cfg.cache_folder
    thread = threading.Thread(target=lambda: second.append(DiskStorage(cfg, "k", True)))
    thread.start()
    first.close()  # removes it
    thread.join(timeout=20)
    [lock] = Path(names).glob("*.lock")
    with open(lock, "ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second[0].close()
    assert not list(Path(names).iterdir())


def test_runs_at_other_keys_do_not_wait(cfg: ClipConfig) -> None:
    first, second = DiskStorage(cfg, "k", True), DiskStorage(cfg, "j", True)
    assert not first.lock.closed and not second.lock.closed
