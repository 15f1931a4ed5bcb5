"""A feature cache on disk: reused by the next run, if everything that made it is the same."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from kills import killed
from mutations import flip
from noise import GROUPS, KINDS, LAST, Noise, built, views_of
from slow_form import assert_same, random_clip

from pfedmma_dist.clip import disk as disk_module
from pfedmma_dist.clip import manifest
from pfedmma_dist.clip.cache import FreshFeatures
from pfedmma_dist.clip.entries import in_use
from pfedmma_dist.clip.model import FINAL, FrozenCLIP, ImageFeatures
from pfedmma_dist.config.keys import CacheMode, ClipConfig, Dtype


def test_a_cache_on_disk_is_built_once(
    pixels: Noise, disk: ClipConfig, caplog: pytest.LogCaptureFixture
) -> None:
    first = built(pixels, disk)
    pixels.chunks.clear()
    with caplog.at_level(logging.INFO):
        second = built(pixels, disk)
    assert not pixels.chunks and "found on disk" in caplog.text
    assert first.place == second.place == "disk"
    for kind in KINDS:
        assert torch.equal(first.tables[kind], second.tables[kind])


def test_a_cache_on_disk_is_found_however_full_the_disk_is(
    pixels: Noise, disk: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(pixels, disk)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    pixels.chunks.clear()
    built(pixels, disk)
    assert not pixels.chunks


def test_a_kill_at_any_point_leaves_features_that_are_whole_or_made_anew(
    disk: ClipConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls = [
        *((os, name) for name in ("mkdir", "replace", "posix_fallocate", "fsync", "utime")),
        *((disk_module, name) for name in ("open_all", "extend", "mapped", "remove")),
        *((manifest, name) for name in ("write", "read", "digests")),
        (Path, "unlink"),
        (Noise, "batch"),
    ]
    alone = built(Noise(), replace(disk, cache_folder=str(tmp_path / "reference")))
    [entry] = (tmp_path / "reference").iterdir()
    for place in range(2, 200, 2):  # before a call, and so after the one before it
        shutil.rmtree(disk.cache_folder, ignore_errors=True)
        shutil.copytree(entry, Path(disk.cache_folder) / entry.name)
        flip(Path(disk.cache_folder) / entry.name / "fork1.bin")
        if not killed(place, lambda: built(Noise(), disk), calls):
            break
        caplog.clear()
        again = built(Noise(), disk)
        assert len(caplog.records) <= 1
        assert all(torch.equal(again.tables[kind], alone.tables[kind]) for kind in KINDS)
        assert [path.name for path in Path(disk.cache_folder).iterdir()] == [entry.name]
    assert place > 2 * 30


def test_entries_of_an_earlier_format_are_not_read_and_not_forgotten(
    pixels: Noise, disk: ClipConfig, caplog: pytest.LogCaptureFixture
) -> None:
    old = Path(disk.cache_folder) / "features-0123456789abcdef0123"
    old.mkdir(parents=True)
    (old / "manifest.json").write_text('{"files": ["final.bin"]}')
    with caplog.at_level(logging.INFO):
        built(pixels, disk)
    assert f"1 of the entries in {disk.cache_folder} are of an earlier format" in caplog.text
    assert "python -m pfedmma_dist.cache --unused removes them" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        built(pixels, disk)
    assert "earlier format" not in caplog.text


def test_a_hit_counts_as_use(pixels: Noise, disk: ClipConfig) -> None:
    built(pixels, disk)
    [path] = Path(disk.cache_folder).glob("*/manifest.json")
    os.utime(path, (1000, 1000))
    before = time.time()
    built(pixels, disk)
    assert path.stat().st_mtime > before - 60


def test_features_are_held_against_removal_as_long_as_they_are_there(
    pixels: Noise, disk: ClipConfig
) -> None:
    features = built(pixels, disk)
    [entry] = Path(disk.cache_folder).iterdir()
    assert in_use(entry)
    again = built(pixels, disk)
    del features
    assert in_use(entry)
    del again
    assert not in_use(entry)


def test_a_cache_too_large_for_memory_goes_to_disk(pixels: Noise, disk: ClipConfig) -> None:
    assert built(pixels, replace(disk, cache=CacheMode.auto, cache_memory=1e-9)).place == "disk"


def test_a_cache_that_fits_nowhere_encodes_nothing(
    pixels: Noise, disk: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(ValueError, match=r"clip\.cache_folder: the feature cache needs 0\.00 GiB"):
        built(pixels, disk)
    assert not pixels.chunks


def test_a_failure_leaves_no_cache_on_disk_and_no_lock(pixels: Noise, disk: ClipConfig) -> None:
    with pytest.raises(OSError, match="cannot read the image") as failure:
        built(Noise(broken=4), disk)
    features = built(pixels, disk)
    assert failure.tb  # what it holds on to was still there
    assert len(pixels.chunks) == 3  # all of it again
    fresh = FreshFeatures(random_clip(torch.float32), pixels)
    assert_same(features.rows(FINAL, GROUPS[1]), fresh.rows(FINAL, GROUPS[1]))


def test_a_write_to_features_from_disk_does_not_reach_the_file(
    pixels: Noise, disk: ClipConfig
) -> None:
    built(pixels, disk).tables[FINAL].zero_()
    assert built(pixels, disk).tables[FINAL].any()


def changed_clip(change: Callable[[FrozenCLIP], object]) -> FrozenCLIP:
    clip = deepcopy(random_clip(torch.float32))
    change(clip)
    return clip


@pytest.mark.parametrize(
    "change",
    [
        {"clip": lambda: changed_clip(lambda clip: clip.image.projection[0, 0].add_(1))},
        {"clip": lambda: changed_clip(lambda clip: setattr(clip, "mean", (0.5, 0.5, 0.5)))},
        {"clip": lambda: random_clip(torch.bfloat16)},
        {"cfg": {"cache_dtype": Dtype.bfloat16}},
        {"kinds": (FINAL,)},
        {"kinds": (FINAL, ImageFeatures(2), LAST)},
        {"groups": [*GROUPS[:2], views_of(range(20, 26))]},
        {"groups": [views_of([7, 3, 11], [1]), *GROUPS[1:]]},
        {"groups": GROUPS[::-1]},
        {"identity": "other files"},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_a_feature_depends_on_is_part_of_its_key(
    pixels: Noise, disk: ClipConfig, change: dict
) -> None:
    built(pixels, disk)
    pixels.chunks.clear()
    changed = {key: value() if key == "clip" else value for key, value in change.items()}
    built(pixels, replace(disk, **changed.pop("cfg", {})), **changed)
    assert pixels.chunks
    assert len(list(Path(disk.cache_folder).glob("features-*/manifest.json"))) == 2
