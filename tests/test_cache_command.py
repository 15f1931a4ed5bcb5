"""cache, as a user calls it: what is listed, what is checked, what is removed and what never is."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs import Ended, Lab, alone, call, make_lab, outcome

from pfedmma_dist import cache
from pfedmma_dist.clip import recipe
from pfedmma_dist.clip.disk import DiskStorage
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.data.images.pixels import made_by

DAY = 24 * 3600.0
SIZES = {"final.bin": 3000}

Start = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Start:
    """Return a function that runs the command on the folder."""

    def command(*words: object) -> Ended:
        capsys.readouterr()
        with alone():
            try:
                code = cache.main([f"clip.cache_folder={folder}", *map(str, words)])
            except SystemExit as end:  # of argparse
                code = end.code
        return Ended(code, *capsys.readouterr())

    return command


def store(folder: Path, letter: str, days: float = 0, **changed: str) -> Path:
    """Store 3,000 bytes, last used so long ago, under a key of one letter."""
    storage = DiskStorage(ClipConfig(cache_folder=str(folder)), letter * 20, True)
    storage.create(SIZES)
    storage.open(SIZES)
    storage.extend(SIZES)
    storage.buffers(SIZES)["final.bin"][:] = bytes(3000)
    made_of = {"images": "of a test", **recipe.versions(made_by()), **changed}
    words = {"about": f"test {letter}", "made_of": made_of}
    storage.publish(SIZES, storage.digests(SIZES, slice(None)), words)
    storage.close()
    then = time.time() - days * DAY
    os.utime(storage.kept / "manifest.json", (then, then))
    return storage.kept


def leave(folder: Path, host: str, suffix: str, hours: float = 0) -> Path:
    """Leave what a killed run leaves under a key of its own."""
    path = folder / f"features-{'e' * 20}.{host}.{suffix}"
    if suffix == "tmp":
        path.mkdir(parents=True)
        (path / "final.bin").write_bytes(bytes(2048))
    else:
        path.touch()
    then = time.time() - hours * 3600
    for item in (*path.glob("*"), path):
        os.utime(item, (then, then))
    return path


@pytest.fixture
def held(folder: Path) -> Iterator[Path]:
    """An entry of long ago that a live run has mapped."""
    entry = store(folder, "a", days=99, torch="0.1")
    with open(entry / "manifest.json", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield entry


def test_entries_are_listed_with_size_age_and_words(folder: Path, start: Start) -> None:
    store(folder, "a", days=3.5)
    store(folder, "b", days=0.1)
    ended = start()
    lines = ended.out.splitlines()
    assert ended.code == 0 and lines[0].startswith(f"{folder}: 2 entries, ")
    first, second = (next(line for line in lines if key * 20 in line) for key in "ba")
    assert lines.index(first) < lines.index(second)
    assert first.endswith("KiB  used 2 hours ago") and second.endswith("KiB  used 3 days ago")
    assert "test a; images of a test; made by transforms 1, Pillow" in ended.out


def test_an_empty_folder_has_no_entries(folder: Path, start: Start) -> None:
    folder.mkdir()
    ended = start("--verify", "--unused")
    assert (ended.code, ended.out) == (0, f"{folder}: 0 entries, 0 B\n")


def test_listing_removes_and_makes_nothing(folder: Path, start: Start) -> None:
    store(folder, "a", days=999, torch="0.1")
    leave(folder, socket.gethostname(), "tmp")
    before = sorted(folder.rglob("*"))
    start("--verify")
    assert sorted(folder.rglob("*")) == before


def test_verify_says_what_is_intact_and_what_is_damaged(folder: Path, start: Start) -> None:
    store(folder, "a")
    assert start("--verify").code == 0
    damaged = store(folder, "b")
    os.truncate(damaged / "final.bin", 2999)
    ended = start("--verify")
    assert ended.code == 1
    [line] = [line for line in ended.out.splitlines() if "intact" in line]
    assert line.startswith(f"features-{'a' * 20}  ")
    assert "damaged: it has 2,999 bytes in final.bin where 3,000 were written" in ended.out
    assert start().code == 0 and "intact" not in start().out


def test_verify_reads_every_byte(folder: Path, start: Start) -> None:
    path = store(folder, "a") / "final.bin"
    path.write_bytes(bytes(2999) + b"\1")
    ended = start("--verify")
    assert ended.code == 1 and "has other bytes in final.bin than were written" in ended.out


@pytest.mark.parametrize("text, told", [("", "is empty"), ("[[", "not readable as JSON")])
def test_a_broken_manifest_is_damage_that_the_list_shows(
    folder: Path, start: Start, text: str, told: str
) -> None:
    (store(folder, "a") / "manifest.json").write_text(text)
    assert start().code == 0 and told in start().out
    assert start("--verify").code == 1
    ended = start("--unused")
    assert ended.code == 0 and not list(folder.iterdir())
    assert f"removed features-{'a' * 20}: has a manifest.json that is " in ended.out


def test_a_run_that_goes_on_finds_what_the_command_left(tmp_path: Path, start: Start) -> None:
    lab: Lab = make_lab(tmp_path)
    words = {"clip__cache": "disk", "federation__rounds": 1}
    assert call(lab.words("one", **words)) == 0
    before = {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*")}
    ended = start("--verify", "--unused", "--older-than", 1)
    assert ended.code == 0 and ended.out.count("  intact\n") == 2 and "removed" not in ended.out
    assert "folder, test images; " in ended.out and "folder, training images; " in ended.out
    assert call(lab.words("two", **words)) == 0
    assert {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*")} == before


def test_a_run_on_damaged_features_says_so_and_has_the_same_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab: Lab = make_lab(tmp_path)
    words = {"clip__cache": "disk", "federation__rounds": 1, "run__checkpoint_every": 1}
    assert call(lab.words("one", **words)) == 0
    for file in (tmp_path / "cache").glob("*/fork*.bin"):
        file.write_bytes(bytes(file.stat().st_size))
    capsys.readouterr()
    assert call(lab.words("two", **words)) == 0
    assert capsys.readouterr().err.count("has other bytes in fork") == 2
    assert outcome(lab.folder("one")) == outcome(lab.folder("two"))
    assert call(lab.words("three", **words)) == 0
    assert capsys.readouterr().err.count("found on disk and intact") == 2


def test_entries_not_used_for_so_long_are_removed(folder: Path, start: Start) -> None:
    old, new = store(folder, "a", days=31), store(folder, "b", days=29)
    ended = start("--older-than", 30)
    assert ended.code == 0 and not old.exists() and new.exists()
    assert f"removed {old.name}: last used 31 days ago\n" in ended.out
    assert "removed 1 of 1, which made 3." in ended.out
    assert [path.name for path in folder.iterdir()] == [new.name]  # no lock either


def test_entries_of_other_versions_are_removed_as_unused(folder: Path, start: Start) -> None:
    store(folder, "a", days=99)
    other = store(folder, "b", torch="0.1")
    assert (
        f"not found by runs of this installation: torch 0.1, here {recipe.torch.__version__}"
        in (start().out)
    )
    ended = start("--unused")
    assert f"removed {other.name}: torch 0.1, here" in ended.out
    assert [path.name for path in folder.iterdir()] == [f"features-{'a' * 20}"]


def test_entries_of_earlier_formats_are_removed_as_unused(folder: Path, start: Start) -> None:
    entry = store(folder, "a")
    (entry / "manifest.json").write_text(json.dumps({"files": ["final.bin"]}))
    ended = start("--verify")
    assert ended.code == 0 and "is of format 0, which has no digests" in ended.out
    assert "intact" not in ended.out and "damaged" not in ended.out
    start("--unused")
    assert not entry.exists()


def test_damaged_entries_are_removed_as_unused_once_they_were_read(
    folder: Path, start: Start
) -> None:
    entry = store(folder, "a")
    (entry / "final.bin").write_bytes(bytes(2999) + b"\1")
    start("--unused")
    assert entry.exists()
    assert start("--unused", "--verify").code == 1
    assert not entry.exists()


@pytest.mark.parametrize("words", [("--unused",), ("--older-than", 1), ("--older-than=0",)])
def test_what_a_live_run_holds_is_never_removed(
    held: Path, start: Start, words: tuple[object, ...]
) -> None:
    ended = start(*words)
    assert ended.code == 0 and (held / "final.bin").exists()
    assert "  in use\n" in ended.out
    assert f"kept {held.name}: a live run holds " in ended.out
    assert "removed 0 of 1, which made 0 B of room" in ended.out


def test_what_a_live_run_makes_is_never_removed(folder: Path, start: Start) -> None:
    storage = DiskStorage(ClipConfig(cache_folder=str(folder)), "a" * 20, True)
    storage.create(SIZES)
    ended = start("--unused", "--older-than", 0)
    assert ended.out == f"{folder}: 0 entries, 0 B\n" and (storage.work / "final.bin").exists()
    storage.close()
    assert f"removed {storage.work.name}: left by a run that has ended" in start("--unused").out
    assert not list(folder.iterdir())


@pytest.mark.parametrize("suffix", ["tmp", "lock"])
@pytest.mark.parametrize(
    "host, hours, goes",
    [(socket.gethostname(), 0, True), ("elsewhere", 23, False), ("elsewhere", 25, True)],
)
def test_what_killed_runs_left_is_removed_as_unused(
    folder: Path, start: Start, suffix: str, host: str, hours: float, goes: bool
) -> None:
    folder.mkdir()
    path = leave(folder, host, suffix, hours)
    assert (path.name in start().out) is goes and path.exists()
    ended = start("--unused")
    assert path.exists() is not goes
    assert (f"removed {path.name}: left by a run that has ended" in ended.out) is goes


def test_an_entry_that_another_host_locked_lately_stays(folder: Path, start: Start) -> None:
    entry = store(folder, "e", days=99)
    leave(folder, "elsewhere", "lock", hours=1)
    ended = start("--older-than", 1)
    assert entry.exists() and f"kept {entry.name}: another host locked it" in ended.out


def test_what_is_no_feature_cache_is_listed_and_never_touched(folder: Path, start: Start) -> None:
    strange = ("splits", "features-mine", f"features-{'a' * 20}.bak", f"features-{'A' * 20}")
    for name in strange:
        (folder / name).mkdir(parents=True)
        (folder / name / "kept.json").write_text("{}")
    ended = start("--unused", "--older-than", 0)
    assert f"no features, never touched: {', '.join(sorted(strange))}\n" in ended.out
    assert sorted(path.name for path in folder.iterdir()) == sorted(strange)


def test_a_link_is_removed_and_what_it_points_to_stays(
    folder: Path, tmp_path: Path, start: Start
) -> None:
    entry = store(folder, "a", days=2)
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    start("--older-than", 1)
    assert not entry.is_symlink() and (tmp_path / "elsewhere" / "final.bin").exists()


def test_what_cannot_be_removed_is_told(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = store(folder, "a", days=2)

    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("pfedmma_dist.clip.entries.remove", refuse)
    ended = start("--older-than", 1)
    assert ended.code == 1 and f"kept {entry.name}: [Errno 30] Read-only" in ended.out


def test_a_wrong_folder_is_told_with_its_remedy(folder: Path, start: Start) -> None:
    ended = start()
    assert ended.code == 2 and ended.out == ""
    assert ended.err.startswith(f"error: clip.cache_folder: {folder} is no folder, ")
    assert "give the clip.cache_folder that your runs had" in ended.err
    assert not folder.exists()


@pytest.mark.parametrize(
    "words, told",
    [
        (["--verfy"], "--verfy is unknown; did you mean --verify?"),
        (["--older"], "--older is unknown; did you mean --older-than?"),
        (["clip.cache_foldr=x"], "clip.cache_foldr"),
        (["--older-than", "soon"], "'soon' is no number of days, such as 30"),
        (["--older-than=-1"], "'-1' is no number of days"),
        (["--older-than", "nan"], "'nan' is no number of days"),
        (["--older-than"], "expected one argument"),
        (["features"], "features"),
    ],
)
def test_a_typo_is_told(folder: Path, start: Start, words: list[str], told: str) -> None:
    store(folder, "a", days=9, torch="0.1")
    ended = start(*words)
    assert ended.code == 2 and told in ended.err and ended.out == ""
    assert list(folder.iterdir())


def test_help_names_every_option(start: Start) -> None:
    ended = start("--help")
    assert ended.code == 0
    assert all(option in ended.out for option in (*cache.OPTIONS, "--help"))
