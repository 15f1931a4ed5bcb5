"""Frozen image features, computed once, shared by the ranks of a host, read by every step.

A cache is one flat file per kind of feature, mapped by all ranks of the host. In RAM it is a tmpfs
file that loses its name as soon as it is mapped, so that a killed run leaves nothing behind; on
disk it is kept, and reused by the next run with the same key. Images are encoded in chunks that
follow from the shards alone, so a feature has the same bits whatever the number of ranks.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.storage import GIB, DiskStorage, MemoryStorage, allocate, fits_memory
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

CHUNK = 64
"""Images encoded together."""

Views = tuple[np.ndarray, np.ndarray]
"""(image rows [n], views [n]); view 0 is the centre crop."""
Steps = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(what is done, how many) -> context that gives a function to report steps done."""


class Pixels(Protocol):
    """Where normalised pixels come from; `data.pixels.PixelLoader` is one."""

    def batch(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """Return [n, 3, H, H]."""
        ...

    def stream(self, chunks: Iterable[Views]) -> Iterator[Tensor]:
        """Yield the batch of each chunk, decoding ahead."""
        ...


class Features(Protocol):
    """Frozen features by image and view."""

    def rows(self, kind: ImageFeatures, views: Views) -> Tensor:
        """Return [n, *record_shape] on the device of the CLIP."""
        ...


@dataclass(frozen=True)
class FreshFeatures:
    """No cache: images are decoded, and the frozen part is run, at every call."""

    clip: FrozenCLIP
    pixels: Pixels

    def rows(self, kind: ImageFeatures, views: Views) -> Tensor:
        """Return [n, *record_shape]; in the plain form of the CLIP these are the pixels."""
        return self.clip.freeze(self.pixels.batch(*views), (kind,))[0]


class FeatureCache:
    """The features of all views that the clients of this host need, one table per kind."""

    def __init__(
        self, clip: FrozenCLIP, tables: dict[ImageFeatures, Tensor], order: Views, place: str
    ) -> None:
        """order: what the rows of the tables are. place: ram, disk or gpu, for the report."""
        self.clip = clip
        self.tables = tables
        self.place = place
        keys = _keys(order)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    @property
    def num_bytes(self) -> int:
        """Size of the tables."""
        return sum(table.numel() * table.element_size() for table in self.tables.values())

    def rows(self, kind: ImageFeatures, views: Views) -> Tensor:
        """Return [n, *record_shape] on the device of the CLIP."""
        table = self.tables[kind]
        index = torch.from_numpy(self._find(views)).to(table.device)
        return table[index].to(self.clip.device)

    def to_device(self, views: Views, budget: float) -> "FeatureCache":
        """Copy the rows of these views to the GPU where they fit `budget` bytes; else stay."""
        device = self.clip.device
        if device.type != "cuda":
            return self
        per_row = self.num_bytes / max(1, len(self._order))
        free, _ = torch.cuda.mem_get_info(device)
        if per_row * len(views[0]) > min(budget, 0.7 * free):
            log.info("feature cache: kept in host memory, too large for the GPU")
            return self
        index = torch.from_numpy(self._find(views))
        tables = {kind: table[index].to(device) for kind, table in self.tables.items()}
        return FeatureCache(self.clip, tables, views, "gpu")

    def _find(self, views: Views) -> np.ndarray:
        keys = _keys(views)
        where = np.searchsorted(self._sorted[:-1], keys)  # so that the last is the largest answer
        assert np.array_equal(self._sorted[where], keys), "a view outside the cache"
        return self._order[where]


def build(
    clip: FrozenCLIP,
    kinds: tuple[ImageFeatures, ...],
    groups: list[Views],
    pixels: Pixels,
    world: World,
    cfg: ClipConfig,
    identity: str,
    steps: Steps,
) -> FeatureCache:
    """Compute, or find on disk, the features of all groups of views; the work is split by chunks.

    groups: the same on all ranks of a host; a chunk never crosses a group. identity: a hash of the
    image files. Raises ValueError where the cache fits neither in memory nor on disk, and says how
    much it needs.
    """
    order = join(groups)
    dtype = getattr(torch, (cfg.cache_dtype or cfg.dtype).value)
    sizes = {kind: len(order[0]) * int(np.prod(clip.record_shape(kind))) for kind in kinds}
    num_bytes = sum(sizes.values()) * dtype.itemsize
    leads = world.host_rank == 0
    if fits_memory(cfg, num_bytes):
        storage = MemoryStorage(world.size == 1, leads)
    else:
        storage = DiskStorage(cfg, _key(clip, kinds, order, dtype, identity), leads)

    def tables(folder: Path, writable: bool) -> dict[ImageFeatures, Tensor]:
        return {
            kind: torch.from_file(
                str(folder / _file_name(kind)), shared=writable, size=size, dtype=dtype
            ).view(-1, *clip.record_shape(kind))
            for kind, size in sizes.items()
        }

    with closing(storage):
        world.barrier()  # nobody looks before the leader has cleared what a crash left
        found = storage.found()
        if not found:
            storage.check_room(num_bytes)
        world.barrier()  # nobody writes before everybody has looked
        if found:
            log.info("feature cache: found on disk, %.2f GiB", num_bytes / GIB)
        else:
            if leads:
                names = {_file_name(kind): n * dtype.itemsize for kind, n in sizes.items()}
                allocate(storage.work, names)
            world.barrier()
            filled = tables(storage.work, True)
            world.barrier()
            storage.mapped()
            _fill(clip, kinds, groups, filled, pixels, world, steps)
            world.barrier()
        kept = storage.finished()
        world.barrier()
    if kept is not None:
        filled = tables(kept, False)
    return FeatureCache(clip, filled, order, storage.place)


def join(groups: list[Views]) -> Views:
    """Return the views of all groups, one after another."""
    empty = np.empty(0, np.int64)  # a host may have no client
    return tuple(np.concatenate([empty, *(group[part] for group in groups)]) for part in (0, 1))


def _fill(
    clip: FrozenCLIP,
    kinds: tuple[ImageFeatures, ...],
    groups: list[Views],
    tables: dict[ImageFeatures, Tensor],
    pixels: Pixels,
    world: World,
    steps: Steps,
) -> None:
    chunks, spans, done = [], [], 0
    for rows, views in groups:
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            chunks.append((rows[part], views[part]))
            spans.append((done + start, done + start + len(rows[part])))
        done += len(rows)
    largest_first = sorted(range(len(chunks)), key=lambda j: -len(chunks[j][0]))
    mine = largest_first[world.host_rank :: world.host_size]
    with steps("encoding images", sum(len(chunks[j][0]) for j in mine)) as advance:
        for j, batch in zip(mine, pixels.stream(chunks[j] for j in mine), strict=True):
            start, stop = spans[j]
            for kind, features in zip(kinds, clip.freeze(batch, kinds), strict=True):
                tables[kind][start:stop] = features.to("cpu", tables[kind].dtype)
            advance(stop - start)


def _key(
    clip: FrozenCLIP,
    kinds: tuple[ImageFeatures, ...],
    order: Views,
    dtype: torch.dtype,
    identity: str,
) -> str:
    """Hash all that a stored feature depends on."""
    digest = hashlib.sha256(clip.image_hash().encode())
    words = [identity, dtype, clip.text.dtype, kinds, clip.dims.image_size, clip.mean, clip.std]
    digest.update("|".join(map(str, words)).encode())
    for part in order:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:20]


def _file_name(kind: ImageFeatures) -> str:
    if kind.start is None:
        return "patches.bin" if kind.patches else "final.bin"
    return f"{'entry' if kind.entry else 'fork'}{kind.start}.bin"


def _keys(views: Views) -> np.ndarray:
    """One integer per (row, view)."""
    return views[0].astype(np.int64) << 20 | views[1].astype(np.int64)
