"""Frozen image features, computed once, shared by the ranks of a host, read by every step.

A cache is one flat file per kind of feature, mapped by all ranks of the host. In RAM it is a tmpfs
file that loses its name before it is filled, so that a killed run leaves nothing behind; on disk it
is kept, and reused by the next run with the same key, which checks its digests first. Images are
encoded in chunks that follow from the shards alone: any number of ranks makes the same bits.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.carry import carried, moved
from pfedmma_dist.clip.disk import DiskStorage
from pfedmma_dist.clip.features import Features, Pixels
from pfedmma_dist.clip.kinds import Kinds, Read, listed, shaped
from pfedmma_dist.clip.manifest import DIGEST_BYTES, blocks
from pfedmma_dist.clip.memory import MemoryStorage, fits_memory
from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.recipe import CHUNK, Views, file_name, key, recipe
from pfedmma_dist.clip.storage import ABSENT, GIB, Buffer, Storage
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

RESIDENT = 0.7
"""Share of a GPU's free memory that features may take."""

Steps = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(what is done, how many) -> context that gives a function to report steps done."""


@dataclass(frozen=True)
class FreshFeatures(Features):
    """No cache: images are decoded, and the frozen part is run, at every call."""

    clip: FrozenCLIP
    pixels: Pixels

    def rows(self, kinds: Kinds, views: Views) -> Read:
        """Return [n, *record_shape]; in the plain form of the CLIP these are the pixels."""
        return shaped(kinds, self.clip.freeze(self.pixels.batch(*views), listed(kinds)))


class FeatureCache(Features):
    """The features of all views that the clients of this host need, one table per kind."""

    def __init__(
        self,
        clip: FrozenCLIP,
        tables: dict[ImageFeatures, Tensor],
        order: Views,
        place: str,
        storage: Storage | None = None,
    ) -> None:
        """order: what the rows of the tables are. place: ram, disk or gpu, for the report.

        storage: what guards the tables' files against removal, for as long as this cache lives.
        """
        self.clip = clip
        self.storage = storage
        self.tables = tables
        self.place = place
        keys = _keys(order)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    @property
    def num_bytes(self) -> int:
        """Size of the tables."""
        return sum(table.numel() * table.element_size() for table in self.tables.values())

    def rows(self, kinds: Kinds, views: Views) -> Read:
        """Return [n, *record_shape], of several kinds a tuple, on the device of the CLIP."""
        index = torch.from_numpy(self._find(views)).to(next(iter(self.tables.values())).device)
        found = [self.tables[kind][index].to(self.clip.device) for kind in listed(kinds)]
        return shaped(kinds, found)

    def stream(self, kinds: Kinds, steps: Sequence[Views]) -> Iterator[Read]:
        """Yield the rows of one step after another; the host waits for the GPU in none of them."""
        tables = [self.tables[kind] for kind in listed(kinds)]
        index = torch.from_numpy(self._find(join(list(steps)))).to(tables[0].device)
        parts = index.split([len(rows) for rows, _ in steps])
        here = ([table[part] for table in tables] for part in parts)
        is_here = tables[0].device == self.clip.device
        for read in here if is_here else carried(tables, parts, self.clip.device):
            yield shaped(kinds, read)

    def to_device(self, views: Views, sharers: int = 1) -> "FeatureCache":
        """Copy the rows of these views to the GPU where they fit its free memory; else stay.

        sharers: ranks that do so on this GPU. The rest of the memory is left to the training.
        """
        device = self.clip.device
        if device.type != "cuda":
            return self
        per_row = self.num_bytes / max(1, len(self._order))
        free, _ = torch.cuda.mem_get_info(device)
        needed, room = per_row * len(views[0]), RESIDENT * free / sharers
        if needed > room:
            words = (
                "feature cache: read from host memory: %.2f GiB, of which the GPU has room for %.2f"
            )
            log.info(words, needed / GIB, room / GIB)
            return self
        index = self._find(views)
        tables = {kind: moved(table, index, device) for kind, table in self.tables.items()}
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
    about: str = "",
) -> FeatureCache:
    """Compute, or find on disk, the features of all groups of views; the work is split by chunks.

    groups: the same on all ranks of a host; a chunk never crosses a group. identity: a hash of the
    image files. about: what people call them. Raises ValueError where the cache fits neither in
    memory nor on disk, and says how much it needs. Collective, alike on hosts that find their
    features and on those that encode them.
    """
    order = join(groups)
    dtype = getattr(torch, (cfg.cache_dtype or cfg.dtype).stored)
    shapes = {file_name(kind): clip.record_shape(kind) for kind in kinds}
    sizes = {
        name: len(order[0]) * int(np.prod(shape)) * dtype.itemsize for name, shape in shapes.items()
    }
    num_bytes = sum(sizes.values())
    leads = world.host_rank == 0
    words = {}
    if fits_memory(cfg, num_bytes):
        storage: Storage = MemoryStorage(world.size == 1, leads)
    else:
        made_of = recipe(clip, kinds, order, dtype, identity, pixels.made_by)
        words = {"about": f"{about}; {cfg.model}, {cfg.pretrained}", "made_of": made_of}
        storage = DiskStorage(cfg, key(made_of), leads)

    def tables(buffers: dict[str, Buffer]) -> dict[ImageFeatures, Tensor]:
        return {kind: _table(buffers[file_name(kind)], dtype, clip, kind) for kind in kinds}

    def fill() -> None:
        _fill(clip, kinds, groups, tables(storage.buffers(sizes)), pixels, world, steps)

    with closing(storage):
        world.barrier()  # nobody looks before the leader has cleared what a crash left
        found = _found(world, storage, sizes)

        def make(*actions: Callable[[], None]) -> None:
            for action in actions:
                if not found:
                    action()
                world.barrier()

        make(
            storage.clear,
            lambda: storage.check_room(num_bytes),
            lambda: storage.create(sizes),
            lambda: storage.open(sizes),
            lambda: storage.extend(sizes),
            fill,
        )
        digests = _digests(world, storage, {} if found else sizes)
        make(lambda: storage.publish(sizes, digests, words))
        if found:
            log.info("feature cache: found on disk and intact, %.2f GiB", num_bytes / GIB)
        filled = tables(storage.finished(sizes))
        world.barrier()  # the leader lets the next run in once every rank holds the files
    return FeatureCache(clip, filled, order, storage.place, storage)


def join(groups: list[Views]) -> Views:
    """Return the views of all groups, one after another."""
    empty = np.empty(0, np.int64)  # a host may have no client
    rows, views = zip(*groups, strict=True) if groups else ((), ())
    return np.concatenate([empty, *rows]), np.concatenate([empty, *views])


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


def _found(world: World, storage: Storage, sizes: Mapping[str, int]) -> bool:
    """Say whether the features are there and intact, every rank having looked at its share.

    All ranks of a host get the same answer. Collective.
    """
    problem = storage.look(sizes, slice(world.host_rank, None, world.host_size))
    texts = world.gather_texts(problem)
    told = dict.fromkeys(texts[rank] for rank in world.host_ranks)
    problems = [text for text in told if text not in ("", ABSENT)]
    if world.host_rank == 0 and problems:
        log.warning(
            "feature cache: %s; it is removed and its images are encoded anew", "; ".join(problems)
        )
    return list(told) == [""]


def _digests(world: World, storage: Storage, sizes: Mapping[str, int]) -> list[bytes]:
    """Return the digests of all blocks of this host's files; shared by its ranks. Collective."""
    own = storage.digests(sizes, slice(world.host_rank, None, world.host_size))
    most = int(world.gather(torch.tensor([len(own)])).max())
    packed = np.zeros((most, DIGEST_BYTES // 8), np.int64)
    packed[: len(own)] = np.frombuffer(b"".join(own), np.int64).reshape(len(own), packed.shape[1])
    shares = world.gather(torch.from_numpy(packed))[list(world.host_ranks)]
    # rank r of the host has every block whose number leaves the rest r
    in_order = shares.transpose(0, 1).flatten(0, 1)[: len(blocks(sizes))]
    return [row.numpy().tobytes() for row in in_order]


def _table(buffer: Buffer, dtype: torch.dtype, clip: FrozenCLIP, kind: ImageFeatures) -> Tensor:
    """Return a mapped file as [n, *record_shape]."""
    flat = torch.frombuffer(buffer, dtype=dtype) if len(buffer) else torch.empty(0, dtype=dtype)
    return flat.view(-1, *clip.record_shape(kind))


def _keys(views: Views) -> np.ndarray:
    """One integer per (row, view)."""
    return views[0].astype(np.int64) << 20 | views[1].astype(np.int64)
