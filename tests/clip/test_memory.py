"""A feature cache in memory: how much may lie there, and that nothing stays, whatever happens."""

import errno
import logging
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from kills import killed
from noise import Noise, built

from pfedmma_dist.clip import memory
from pfedmma_dist.clip.memory import MemoryStorage, fits_memory
from pfedmma_dist.clip.storage import GIB
from pfedmma_dist.config.keys import CacheMode, ClipConfig

pytestmark = pytest.mark.usefixtures("shared_memory")

SIZES = {"final.bin": 5000, "empty.bin": 0}

CALLS = (
    *((os, name) for name in ("open", "close", "posix_fallocate")),
    *((memory, name) for name in ("open_all", "extend", "mapped")),
    (Path, "unlink"),
    (Noise, "batch"),
)
"""Whatever touches a file, and what goes on in between."""


@pytest.fixture
def cfg(tmp_path: Path) -> ClipConfig:
    return ClipConfig(cache_folder=str(tmp_path / "cache"), cache_memory=2.0)


def free(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    """Let every disk, and the shared memory, have this much room."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=gib * GIB))


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


def test_names_go_before_the_files_get_their_room(
    shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    reserve = os.posix_fallocate

    def watched(*words: int) -> None:
        seen.append(list(shared_memory.iterdir()))
        reserve(*words)

    monkeypatch.setattr(os, "posix_fallocate", watched)
    kept = MemoryStorage(True, True)
    kept.create(SIZES)
    assert [path.stat().st_size for path in shared_memory.iterdir()] == [0, 0]
    kept.open(SIZES)
    kept.extend(SIZES)
    assert seen == [[]]
    assert {name: len(buffer) for name, buffer in kept.buffers(SIZES).items()} == SIZES


def test_ranks_of_a_host_write_into_the_same_memory() -> None:
    leader, other = MemoryStorage(False, True), MemoryStorage(False, False)
    leader.create(SIZES)
    for rank in (leader, other):
        rank.open(SIZES)
    for rank in (leader, other):
        rank.extend(SIZES)
    leader.buffers(SIZES)["final.bin"][7] = 3
    assert other.buffers(SIZES)["final.bin"][7] == 3


def test_memory_that_fills_up_is_told_and_keeps_no_names(
    shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    kept = MemoryStorage(True, True)
    kept.create({"a.bin": GIB})
    kept.open({"a.bin": GIB})
    with pytest.raises(ValueError, match=r"clip\.cache: .* needs 1\.00 GiB, .* No space left"):
        kept.extend({"a.bin": GIB})
    assert not list(shared_memory.iterdir())


def test_names_go_after_a_failure_too(shared_memory: Path) -> None:
    kept = MemoryStorage(True, True)
    kept.create(SIZES)
    kept.close()
    assert not list(shared_memory.iterdir())


def test_names_are_the_leaders_to_remove(shared_memory: Path) -> None:
    leader, other = MemoryStorage(False, True), MemoryStorage(False, False)
    leader.create(SIZES)
    other.open(SIZES)
    other.extend(SIZES)
    other.close()
    assert len(list(shared_memory.iterdir())) == 2


def test_ranks_that_do_not_share_memory_are_told() -> None:
    with pytest.raises(ValueError, match=r"clip\.cache: ranks of host .* do not see each other's"):
        MemoryStorage(False, False).open(SIZES)


def test_single_runs_that_inherit_one_port_do_not_share_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASTER_PORT", "29500")
    ours = MemoryStorage(True, True).work
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert MemoryStorage(True, True).work != ours
    assert MemoryStorage(False, True).work == MemoryStorage(False, False).work


def test_a_kill_at_any_point_leaves_no_byte_and_no_name_once_the_files_are_there(
    ram: ClipConfig, shared_memory: Path
) -> None:
    named = []
    for place in range(2, 200):
        ended = killed(place, lambda: built(Noise(), ram), CALLS)
        left = list(shared_memory.iterdir())
        assert sum(path.stat().st_blocks for path in left) == 0
        named += [place] * bool(left)
        for path in left:
            path.unlink()
        if not ended:
            break
    assert ended == 0 and place > 30
    # three files are looked for, made and closed, all are opened, and the third loses its name
    assert max(named) == 2 * (3 * 3 + 1 + 3)


@pytest.mark.parametrize("hours, stays", [(2.9, True), (3.1, False)])
def test_what_killed_runs_of_earlier_versions_left_is_freed(
    ram: ClipConfig,
    shared_memory: Path,
    caplog: pytest.LogCaptureFixture,
    hours: float,
    stays: bool,
) -> None:
    left = shared_memory / f"pfedmma-{os.getuid()}-host-29500"
    left.mkdir()
    (left / "fork1.bin").write_bytes(b"x" * 5000)
    strangers = shared_memory / f"pfedmma-{os.getuid() + 1}-host-29500"
    strangers.mkdir()
    then = time.time() - hours * 3600
    for path in (left / "fork1.bin", left, strangers):
        os.utime(path, (then, then))
    with caplog.at_level(logging.INFO):
        built(Noise(), ram)
    assert left.exists() is stays and strangers.exists()
    assert (f"removed {left}" in caplog.text) is not stays


def test_name_without_its_run_is_swept_and_one_that_is_held_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "memory"
    home.mkdir()
    monkeypatch.setattr(memory, "SHARED_MEMORY", home)
    held, dead, unborn = (home / f"{dot}{memory._prefix()}{n}" for dot, n in (
        ("", "held"), ("", "dead"), (".", "unborn")
    ))  # fmt: skip
    lock = memory._locked(held)
    os.close(memory._locked(dead))  # as the system does for a killed run
    unborn.touch()
    memory.sweep()
    assert sorted(path.name for path in home.iterdir()) == sorted([held.name, unborn.name])
    os.close(lock)
    os.utime(unborn, (0, 0))
    memory.sweep()
    assert list(home.iterdir()) == []
