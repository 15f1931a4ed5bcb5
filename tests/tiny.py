"""A tiny random CLIP, a tiny task on noise, and federations of them: no file, no network."""

import functools
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import open_clip
import torch
from agreement import Golden

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.kinds import Kinds, Read, listed, shaped
from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures
from pfedmma_dist.config.keys import Config, FederationConfig
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig, ServerConfig
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.several import joined_tasks
from pfedmma_dist.data.tasks.task import ClassSet, Scope, Task
from pfedmma_dist.federation.cohort import Batch, drawn_steps, lockstep
from pfedmma_dist.federation.federation import Federation, Sources
from pfedmma_dist.methods.method import Method
from pfedmma_dist.world import World

T = TypeVar("T")

GOLDEN = Path(__file__).parent / "golden"
CLASSES = ("ant", "bee", "cat", "sea horse", "eel", "fox")
NUM_BASE = 4
SIZES = (9, 4, 2, 7, 1, 5)  # training images of each client
NUM_TRAIN, NUM_IMAGES = 48, 72
SIDE, LENGTH, WORDS = 16, 24, 512
WITHOUT = 2
"""A client without validation images, in the task that has any."""


def golden(name: str) -> Golden:
    """Return the arrays of one golden file."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return Golden(name, dict(file))


def tokenize(texts: list[str]) -> torch.Tensor:
    """Return one id per word; the end of a text has the largest id, as in CLIP."""
    ids = torch.zeros(len(texts), LENGTH, dtype=torch.int64)
    for own, text in zip(ids, texts, strict=True):
        words = [1 + zlib.crc32(word.encode()) % (WORDS - 3) for word in text.split()]
        own[: len(words) + 2] = torch.tensor([WORDS - 2, *words, WORDS - 1])
    return ids


@functools.cache
def tiny_clip(dtype: torch.dtype = torch.float32, *, plain: bool = False) -> FrozenCLIP:
    """Return a random CLIP of 4 blocks and width 64; the same weights in every form."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = open_clip.CLIP(
            embed_dim=32,
            vision_cfg={
                "layers": 4,
                "width": 64,
                "head_width": 32,
                "patch_size": 8,
                "image_size": SIDE,
            },
            text_cfg={
                "context_length": LENGTH,
                "vocab_size": WORDS,
                "width": 64,
                "heads": 2,
                "layers": 4,
            },
            quick_gelu=True,
        )
    return freeze(module.eval().to(dtype), tokenize, torch.device("cpu"), dtype, plain=plain)


class NoiseFeatures(Features):
    """The frozen features of noise images: a dict of tables, every view the same."""

    def __init__(self, clip: FrozenCLIP) -> None:
        self.clip = clip
        rng = np.random.default_rng(0)
        self.pixels = torch.from_numpy(rng.standard_normal((NUM_IMAGES, 3, SIDE, SIDE)))
        self.tables: dict[ImageFeatures, torch.Tensor] = {}

    def rows(self, kinds: Kinds, views: tuple[np.ndarray, np.ndarray]) -> Read:
        missing = tuple(kind for kind in listed(kinds) if kind not in self.tables)
        if missing:
            pixels = self.pixels.to(self.clip.wide)
            self.tables |= zip(missing, self.clip.freeze(pixels, missing), strict=True)
        rows = views[0] % NUM_IMAGES  # the same in every data set
        return shaped(kinds, [self.tables[kind][rows] for kind in listed(kinds)])


def tiny_task(
    classes: tuple[str, ...] = CLASSES, num_base: int = NUM_BASE, sizes: tuple[int, ...] = SIZES
) -> Task:
    """Return 6 clients of ragged sizes on 4 base classes, 2 classes novel to all of them."""
    labels = np.arange(NUM_IMAGES) % len(classes)
    train, test = np.arange(NUM_TRAIN), np.arange(NUM_TRAIN, NUM_IMAGES)
    dealt = np.split(train[labels[train] < num_base], np.cumsum(sizes))[: len(sizes)]
    owned = [np.unique(labels[rows]) for rows in dealt]
    base = test[labels[test] < num_base]
    local = Partition.of([base[np.isin(labels[base], own)] for own in owned])
    columns = np.arange(len(classes))
    return Task(
        images=Images(Files(Path(), ("",) * NUM_IMAGES), labels, classes, train, test),
        class_sets={
            "base": ClassSet("base", classes[:num_base], np.where(columns < num_base, columns, -1)),
            "novel": ClassSet(
                "novel", classes[num_base:], np.where(columns < num_base, -1, columns - num_base)
            ),
        },
        train_classes="base",
        train=Partition.of(dealt),
        client_classes=Partition.of(owned),
        scopes=(
            Scope("local", "base", local, full=False),
            Scope("own", "base", local, full=False, own_classes=True),
            Scope("base", "base", base, full=True),
            Scope("novel", "novel", test[labels[test] >= num_base], full=True),
        ),
    )


def tiny_sets() -> list[Task]:
    """Return the tiny task, and that of another data set: 3 clients on 3 base classes, one of which
    has the name of a class of the first, and 2 novel ones."""
    return [tiny_task(), tiny_task(("gnu", "cat", "hen", "ibex", "jay"), 3, (6, 3, 8))]


def joined_sets() -> Task:
    """Return both as one task."""
    return joined_tasks(("zoo", "farm"), tiny_sets(), ["a photo of a {}."] * 2)


def validated() -> Task:
    """Return the tiny task whose clients validate on their first two training rows."""
    task = tiny_task()
    own = [task.train.rows(client)[: 0 if client == WITHOUT else 2] for client in range(len(SIZES))]
    val = Scope("val", "base", Partition.of(own), full=False)
    return replace(task, scopes=(*task.scopes[:2], val, *task.scopes[2:]))


def tiny_config(**federation: object) -> Config:
    """Return the defaults with batches of 4, 3 shards and cohorts of 2."""
    sizes = {"batch_size": 4, "num_shards": 3, "cohort_size": 2, "first_round_all": False}
    cfg = Config(federation=FederationConfig(**{**sizes, **federation}))
    cfg.evaluate.batch_size = 8
    return cfg


def tiny_federation(
    method: type[Method],
    world: World | None = None,
    options: object = None,
    task: Task | None = None,
    optim: OptimConfig | None = None,
    server: ServerConfig | None = None,
    correction: CorrectionConfig | None = None,
    evaluate: Mapping[str, object] | None = None,
    sections: Mapping[str, object] | None = None,
    **federation: object,
) -> Federation:
    """Return a federation of a method with its default options on the tiny task.

    sections: of the configuration, in place of those by default.
    """
    clip = tiny_clip()
    cfg = tiny_config(**federation)
    sizes = NUM_BASE, max(SIZES), cfg.federation.rounds
    built = method.build(options or method.Options(), clip.dims, *sizes)
    cfg.optim, cfg.server = optim or cfg.optim, server or cfg.server
    cfg.correction = correction or cfg.correction
    cfg.evaluate = replace(cfg.evaluate, **(evaluate or {}))
    for name, section in (sections or {}).items():
        assert hasattr(cfg, name)
        setattr(cfg, name, section)
    made = Federation(cfg, task or tiny_task(), built, clip, world or World.alone())
    features = NoiseFeatures(clip)
    made.sources = Sources(train=features, test=features)
    return made


def same_state(one: Federation, other: Federation) -> None:
    """Hold the clients that `one` hosts, and the server, to the bits of another federation."""
    hosted = np.concatenate([one.shards[shard] for shard in one.hosted])
    assert torch.equal(one.clients.gather(hosted), other.clients.gather(hosted))
    (_, ours), (_, theirs) = one.state(), other.state()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


class ThreadRank(World):
    """A rank that is a thread: sums meet at a barrier."""

    def exact_sum(self, x: torch.Tensor) -> torch.Tensor:
        self.bytes_reduced += x.numel() * x.element_size()
        self.collectives += 1
        self.parts[self.rank] = x
        self.meeting.wait()
        total = sum(self.parts.values())
        self.meeting.wait()
        return total


def on_ranks(size: int, work: Callable[[World], T]) -> list[T]:
    """Do the work on ranks that are threads; return what each of them returned."""
    parts: dict[int, torch.Tensor] = {}
    meeting = threading.Barrier(size, timeout=60)
    found: dict[int, T] = {}

    def one(rank: int) -> None:
        world = ThreadRank(rank, size, torch.device("cpu"))
        world.parts, world.meeting = parts, meeting
        found[rank] = work(world)

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[rank] for rank in range(size)]


def batches(
    rows: list[np.ndarray],
    clients: np.ndarray,
    cfg: FederationConfig,
    seed: int,
    round_index: int,
    num_views: int,
) -> Iterator[Batch]:
    """Yield the steps of a cohort's round; rows: the training images of each of its clients [G]."""
    drawn = [
        drawn_steps(own, int(client), cfg, seed, round_index, num_views)
        for own, client in zip(rows, clients, strict=True)
    ]
    yield from lockstep(drawn, clients, seed, round_index)
