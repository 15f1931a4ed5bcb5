"""Whatever became of stored features, a run says so and encodes them anew, once."""

import logging
import os
from pathlib import Path

import pytest
import torch
from mutations import MUTATIONS, largest, replaced
from noise import FORK, KINDS, Noise, built

from pfedmma_dist.clip import manifest
from pfedmma_dist.config.keys import ClipConfig


def entries(cfg: ClipConfig) -> list[Path]:
    return sorted(Path(cfg.cache_folder).iterdir())


@pytest.mark.parametrize("name", MUTATIONS)
def test_damaged_features_are_encoded_anew_with_a_warning_and_once(
    pixels: Noise, disk: ClipConfig, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = {kind: table.clone() for kind, table in built(pixels, disk).tables.items()}
    [entry] = entries(disk)
    mutate, words = MUTATIONS[name]
    mutate(entry)
    pixels.chunks.clear()
    again = built(pixels, disk)
    assert pixels.chunks
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"feature cache: {entry} ")
    assert words in warning and "encoded anew" in warning
    assert all(torch.equal(again.tables[kind], first[kind]) for kind in KINDS)
    pixels.chunks.clear()
    third = built(pixels, disk)
    assert not pixels.chunks and len(caplog.records) == 1
    assert all(torch.equal(third.tables[kind], first[kind]) for kind in KINDS)
    assert entries(disk) == [entry]


def test_entries_that_swapped_their_names_are_both_encoded_anew(
    pixels: Noise, disk: ClipConfig, caplog: pytest.LogCaptureFixture
) -> None:
    first = built(pixels, disk).tables[FORK].clone()
    built(Noise(), disk, identity="other images")
    one, other = entries(disk)
    one.rename(one.with_name("aside"))
    other.rename(one)
    one.with_name("aside").rename(other)
    for identity in ("images", "other images"):
        assert torch.equal(built(pixels, disk, identity=identity).tables[FORK], first)
    assert caplog.text.count("holds what belongs into features-") == 2


def test_a_disk_that_cannot_read_its_blocks_is_told(
    pixels: Noise,
    disk: ClipConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    built(pixels, disk)
    digest, broken = manifest._digest, []

    def refuse(path: Path, start: int) -> bytes:
        if not broken:
            broken.append(path)
            raise OSError(5, "Input/output error", str(path))
        return digest(path, start)

    monkeypatch.setattr(manifest, "_digest", refuse)
    pixels.chunks.clear()
    built(pixels, disk)
    assert pixels.chunks and "cannot be read ([Errno 5] Input/output error" in caplog.text


def test_features_behind_a_link_are_used_as_they_are(
    pixels: Noise, disk: ClipConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    built(pixels, disk)
    [entry] = entries(disk)
    file = largest(entry)
    file.symlink_to(file.rename(tmp_path / "moved.bin"))
    pixels.chunks.clear()
    built(pixels, disk)
    assert not pixels.chunks and not caplog.records


def test_a_damaged_entry_gives_its_room_before_room_is_looked_for(
    pixels: Noise, disk: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(pixels, disk)
    [entry] = entries(disk)
    replaced(largest(entry), Path.mkdir)
    seen = []
    monkeypatch.setattr(
        "pfedmma_dist.clip.disk.DiskStorage.check_room",
        lambda self, num_bytes: seen.extend(entries(disk)),
    )
    built(pixels, disk)
    assert entry not in seen


def test_features_in_use_outlive_their_replacement(pixels: Noise, disk: ClipConfig) -> None:
    first = built(pixels, disk)
    kept = first.tables[FORK].clone()
    [entry] = entries(disk)
    os.truncate(entry / "final.bin", 3)
    built(pixels, disk)
    assert torch.equal(first.tables[FORK], kept)


def test_what_is_wrong_is_no_error_of_the_log(
    pixels: Noise, disk: ClipConfig, caplog: pytest.LogCaptureFixture
) -> None:
    built(pixels, disk)
    os.truncate(largest(entries(disk)[0]), 3)
    built(pixels, disk)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
