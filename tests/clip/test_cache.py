"""Features encoded once, kept in memory or on disk, and read by all ranks of a host."""

import hashlib
import mmap
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mutations import flip
from noise import FORK, GROUPS, KINDS, LAST, Noise, built, views_of
from slow_form import assert_same, random_clip

from pfedmma_dist.clip import cache, manifest
from pfedmma_dist.clip.cache import FeatureCache, FreshFeatures, build
from pfedmma_dist.clip.manifest import blocks, damage, read
from pfedmma_dist.clip.model import FINAL, ImageFeatures
from pfedmma_dist.config.keys import CacheMode, ClipConfig, Dtype
from pfedmma_dist.world import World


@pytest.fixture(params=["ram", "disk"])
def cfg(request: pytest.FixtureRequest) -> ClipConfig:
    """Both places."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_cached_features_equal_fresh_ones(
    pixels: Noise, cfg: ClipConfig, kind: ImageFeatures
) -> None:
    wanted = views_of([26, 3, 5, 3])
    fresh = FreshFeatures(random_clip(torch.float32), pixels).rows(kind, wanted)
    assert_same(built(pixels, cfg).rows(kind, wanted), fresh)


def test_every_view_of_an_image_has_features_of_its_own(pixels: Noise, cfg: ClipConfig) -> None:
    groups = [views_of([8, 2], [1, 2, 3]), views_of([2, 9])]
    features = built(pixels, cfg, groups)
    wanted = np.array([2, 2, 8, 9, 2]), np.array([3, 0, 1, 0, 1])
    fresh = FreshFeatures(random_clip(torch.float32), pixels)
    assert_same(features.rows(FORK, wanted), fresh.rows(FORK, wanted))


def test_features_of_the_plain_form_are_pixels(pixels: Noise) -> None:
    fresh = FreshFeatures(random_clip(torch.float32, plain=True), pixels)
    assert torch.equal(fresh.rows(FORK, views_of([4])), pixels.batch(*views_of([4])))


@pytest.mark.parametrize("row, view", [(2, 0), (6, 0), (27, 0), (7, 1)])
def test_a_view_outside_the_cache_is_our_own_mistake(
    pixels: Noise, ram: ClipConfig, row: int, view: int
) -> None:
    with pytest.raises(AssertionError, match="a view outside the cache"):
        built(pixels, ram).rows(FINAL, views_of([7, row], [view]))


def test_no_views_need_no_room(pixels: Noise, cfg: ClipConfig) -> None:
    features = built(pixels, cfg, [views_of([])])
    assert features.rows(FORK, views_of([])).shape == (0, 2, 10, 32)
    assert features.num_bytes == 0


def test_size_is_that_of_all_tables(pixels: Noise, ram: ClipConfig) -> None:
    assert built(pixels, ram, kinds=(FINAL, LAST)).num_bytes == 12 * 4 * (20 + 2 * 32)


def test_features_stay_where_there_is_no_gpu(pixels: Noise, ram: ClipConfig) -> None:
    features = built(pixels, ram)
    assert features.to_device(GROUPS[0]) is features


def test_chunks_follow_from_the_groups_alone(
    pixels: Noise, ram: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 4)
    built(pixels, ram)
    assert pixels.chunks == [[20, 21, 22, 23], [7, 3, 11], [24, 25, 26], [5, 4]]  # largest first


def test_progress_is_told_in_images(pixels: Noise, ram: ClipConfig) -> None:
    told = []

    @contextmanager
    def steps(what: str, total: int) -> Iterator[Callable[[int], None]]:
        told.append((what, total))
        yield told.append

    build(random_clip(torch.float32), (FINAL,), GROUPS, pixels, World.alone(), ram, "", steps)
    assert told == [("encoding images", 12), 7, 3, 2]


def test_memory_keeps_no_name(pixels: Noise, ram: ClipConfig, shared_memory: Path) -> None:
    assert built(pixels, ram).place == "ram"
    assert not list(shared_memory.iterdir())


def test_names_in_memory_are_gone_before_the_first_image_is_encoded(
    ram: ClipConfig, shared_memory: Path
) -> None:
    seen = []

    class Watching(Noise):
        def batch(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
            seen.extend(shared_memory.iterdir())
            return super().batch(rows, views)

    built(Watching(), ram)
    assert not seen


def test_a_failure_before_that_leaves_no_name_in_memory(
    pixels: Noise, ram: ClipConfig, shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **how: object) -> None:
        raise OSError("cannot map")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(OSError, match="cannot map"):
        built(pixels, ram)
    assert not list(shared_memory.iterdir())


@pytest.mark.parametrize("storage", [None, Dtype.float32, Dtype.bfloat16])
@pytest.mark.parametrize("arithmetic", [Dtype.float32, Dtype.bfloat16])
def test_features_are_stored_in_the_asked_type(
    pixels: Noise, cfg: ClipConfig, arithmetic: Dtype, storage: Dtype | None
) -> None:
    cfg = replace(cfg, dtype=arithmetic, cache_dtype=storage)
    clip = random_clip(getattr(torch, arithmetic.value))
    features = built(pixels, cfg, clip=clip)
    expected = FreshFeatures(clip, pixels).rows(FORK, GROUPS[0])
    out = features.rows(FORK, GROUPS[0])
    assert out.dtype == getattr(torch, (storage or arithmetic).value)
    assert features.num_bytes == 12 * out.itemsize * (20 + 2 * 10 * 32 + 2 * 32)
    # one rounding to 8 bits; bfloat16 products may also round otherwise in another batch
    torch.testing.assert_close(out.float(), expected, atol=0.02, rtol=0.02)


@dataclass
class HostMate(World):
    """One of several ranks of a host, as threads of one process."""

    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    sums: list[torch.Tensor] = field(default_factory=list)  # one list for all

    def barrier(self) -> None:
        self.meeting.wait(timeout=20)

    def exact_sum(self, x: torch.Tensor) -> torch.Tensor:
        self.sums.append(x)
        self.barrier()
        total = sum(self.sums[-self.size :])
        self.barrier()
        return total


def on_ranks(num: int, work: Callable[[World], object]) -> list[object]:
    """Run `work` on every rank of a host and return what each returned."""
    meeting, sums, results = threading.Barrier(num), [], [None] * num

    def run(rank: int) -> None:
        device, mates = torch.device("cpu"), tuple(range(num))
        world = HostMate(rank, num, device, mates, meeting=meeting, sums=sums)
        results[rank] = work(world)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(num)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_rank_finds_damaged_is_encoded_anew_by_all(
    disk: ClipConfig, rank: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 4)
    first = {kind: table.clone() for kind, table in built(Noise(), disk).tables.items()}
    [entry] = Path(disk.cache_folder).iterdir()
    [(name, _), *_] = blocks(read(entry).sizes)[rank:]  # ranks take turns
    flip(entry / name, 5)
    shares = [Noise(), Noise()]
    caches = on_ranks(2, lambda world: built(shares[world.rank], disk, world=world))
    assert all(share.chunks for share in shares)
    assert caplog.text.count(f"{entry} has other bytes in {name}") == 1
    for features in caches:
        assert all(torch.equal(features.tables[kind], first[kind]) for kind in KINDS)


def test_hosts_that_find_their_features_keep_in_step_with_those_that_do_not(
    disk: ClipConfig, ram: ClipConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = built(Noise(), disk)
    places = [disk, replace(disk, cache_folder=str(tmp_path / "other")), ram]
    shares = [Noise() for _ in places]

    def work(world: World) -> FeatureCache:
        mine = replace(world, host_ranks=(world.rank,))  # a host of its own
        return built(shares[world.rank], places[world.rank], world=mine)

    caches = on_ranks(3, work)
    assert [bool(share.chunks) for share in shares] == [False, True, True]
    for features in caches:
        assert all(torch.equal(features.tables[kind], alone.tables[kind]) for kind in KINDS)
    [entry] = (tmp_path / "other").iterdir()
    assert damage(entry, read(entry)) == ""


@pytest.mark.parametrize("damaged", [False, True])
def test_hosts_that_share_a_folder_keep_one_entry(
    disk: ClipConfig, damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {kind: table.clone() for kind, table in built(Noise(), disk).tables.items()}
    [entry] = Path(disk.cache_folder).iterdir()
    flip(entry / "final.bin") if damaged else shutil.rmtree(entry)
    monkeypatch.setattr(socket, "gethostname", lambda: threading.current_thread().name)

    def work(world: World) -> FeatureCache:
        return built(Noise(), disk, world=replace(world, host_ranks=(world.rank,)))

    for features in on_ranks(3, work):
        assert all(torch.equal(features.tables[kind], first[kind]) for kind in KINDS)
    assert list(Path(disk.cache_folder).iterdir()) == [entry]
    assert damage(entry, read(entry)) == ""


def test_ranks_share_the_digests_of_many_blocks(
    disk: ClipConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "BLOCK", 512)
    on_ranks(3, lambda world: built(Noise(), disk, world=world))
    [entry] = Path(disk.cache_folder).iterdir()
    found = read(entry)
    assert len(blocks(found.sizes)) > 10
    for name, content in found.files.items():
        data = (entry / name).read_bytes()
        parts = [data[start : start + 512] for start in range(0, len(data), 512)]
        assert content.sha256 == [hashlib.sha256(part).hexdigest() for part in parts]


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_share_the_work_and_get_the_same_bits_as_one(
    cfg: ClipConfig, num_ranks: int, shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 4)
    alone = built(Noise(), ClipConfig(cache=CacheMode.ram, cache_memory=0.01))
    shares = [Noise() for _ in range(num_ranks)]
    caches = on_ranks(num_ranks, lambda world: built(shares[world.rank], cfg, world=world))
    chunks = [chunk for share in shares for chunk in share.chunks]
    assert sorted(chunks) == sorted([[7, 3, 11], [5, 4], [20, 21, 22, 23], [24, 25, 26]])
    assert all(share.chunks for share in shares)
    for features in caches:
        for kind in KINDS:
            assert torch.equal(features.tables[kind], alone.tables[kind])
    assert not list(shared_memory.iterdir())
