"""A federation's life on a device: rounds, scores, and a state that is taken back."""

import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from unittest import mock

import numpy as np
import open_clip
import torch
from pretend import Places
from tiny import LENGTH, NUM_BASE, NUM_IMAGES, SIDE, SIZES, WORDS, tiny_config, tiny_task, tokenize

from pfedmma_dist.clip.cache import FeatureCache
from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.kinds import listed
from pfedmma_dist.config.choices import Softmax
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.learning import CorrectionConfig
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.classify import Count
from pfedmma_dist.federation.federation import Federation, Sources
from pfedmma_dist.federation.recorded import Recorder
from pfedmma_dist.methods import METHODS
from pfedmma_dist.world import World

VIEWS = np.arange(NUM_IMAGES), np.zeros(NUM_IMAGES, np.int64)


@dataclass(frozen=True)
class Form:
    """What a method runs on."""

    dtype: torch.dtype
    is_plain: bool  # without the shortcuts of the model
    is_resident: bool  # features on the device, not in the host's memory


@dataclass
class Life:
    """What a federation has made of it."""

    losses: list[float] = field(default_factory=list)
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    rows: list[torch.Tensor] = field(default_factory=list)
    per_step: Counter[str] = field(default_factory=Counter)  # waits of more steps, beyond one epoch
    per_batch: Counter[str] = field(default_factory=Counter)  # of scores, but the first of a set
    num_batches: int = 0  # of which these are
    recorder: Recorder | None = None  # of steps


@functools.cache
def module() -> torch.nn.Module:
    """Return an open_clip CLIP of 3 narrow blocks with random weights."""
    tower = {"layers": 3, "width": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return open_clip.CLIP(
            embed_dim=16,
            vision_cfg={**tower, "head_width": 16, "patch_size": 8, "image_size": SIDE},
            text_cfg={**tower, "heads": 2, "context_length": LENGTH, "vocab_size": WORDS},
            quick_gelu=True,
        ).eval()


def resnet() -> torch.nn.Module:
    """Return an open_clip CLIP with a narrow ResNet for images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return open_clip.CLIP(
            embed_dim=16,
            vision_cfg={"layers": (1, 1, 1, 1), "width": 8, "image_size": 32, "head_width": 16},
            text_cfg={
                "layers": 1,
                "width": 32,
                "heads": 2,
                "context_length": LENGTH,
                "vocab_size": WORDS,
            },
        ).eval()


def live(
    name: str,
    form: Form,
    device: torch.device,
    places: Places | None = None,
    epochs: tuple[int, ...] = (1, 1, 2),
    correction: CorrectionConfig | None = None,
    options: dict[str, object] | None = None,
    *,
    scored: bool = True,
    graphs: bool = False,
    cohort: int = len(SIZES),
) -> Life:
    """Return what rounds of a method with some options leave, and everybody's scores.

    places: of a pretended device. The last round has an epoch more than the one before: what waits
    oftener in it waits in every step. scored: whether anybody is. graphs: whether steps are
    recorded.
    """
    cfg = tiny_config(batch_size=8, num_shards=1, cohort_size=cohort)
    cfg.run.cuda_graphs = graphs
    cfg.federation.local_epochs = epochs[0]
    cfg.correction = correction or cfg.correction
    cfg.evaluate.finetune_epochs = 1 if correction else 0
    cfg.federation.softmax = Softmax.own if correction else Softmax.all
    federation = born(name, form, device, cfg, options)
    lived, waits = Life(recorder=federation.recorder), []
    for index, count in enumerate(epochs if federation.layout.num_trained else ()):
        cfg.federation.local_epochs = count
        before = Counter() if places is None else places.waits.copy()
        lived.losses.append(federation.round(index).loss)
        waits.append(Counter() if places is None else places.waits - before)
    if waits:
        lived.per_step = waits[-1] - waits[-2]
    with nullcontext() if places is None or not scored else watched(lived, places):
        if scored:
            lived.scores = federation.evaluate(full=True).percent
    shards, server = federation.state()
    lived.rows = [shards[shard]["rows"] for shard in sorted(shards)] + [*server.values()]
    federation.load(shards, server, len(waits))
    return lived


@contextmanager
def watched(lived: Life, places: Places) -> Iterator[None]:
    """Count what waits between two batches of scores of one set of images."""
    answers = Count._answers

    def counted(self: Count, *words: object) -> Iterator[object]:
        before = None
        for found in answers(self, *words):
            if before is not None:
                lived.num_batches += 1
                lived.per_batch += places.waits - before
            before = places.waits.copy()
            yield found

    with mock.patch.object(Count, "_answers", counted):
        yield


def born(
    name: str,
    form: Form,
    device: torch.device,
    cfg: Config,
    options: dict[str, object] | None = None,
    task: Task | None = None,
) -> Federation:
    """Return a federation with all features of noise images."""
    clip = freeze(module(), tokenize, device, form.dtype, plain=form.is_plain)
    kind = METHODS[name]
    method = kind.build(
        kind.Options(**(options or {})), clip.dims, NUM_BASE, max(SIZES), cfg.federation.rounds
    )
    federation = Federation(cfg, task or tiny_task(), method, clip, World(0, 1, device))
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.standard_normal((NUM_IMAGES, 3, SIDE, SIDE), np.float32))
    kinds = listed(method.images)
    tables = [features.cpu() for features in clip.freeze(pixels, kinds)]
    cache = FeatureCache(clip, dict(zip(kinds, tables, strict=True)), VIEWS, "ram")
    if form.is_resident:
        cache = cache.to_device(VIEWS)
    federation.sources = Sources(train=cache, test=cache)
    return federation
