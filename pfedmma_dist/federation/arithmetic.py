"""Arithmetic: floating-point operations of the clients' training, counted on a step of their own.

Those of matrix products, which are all but a few; the same on every rank, as they are counted on
noise in place of features. What is cached here is taken for cached there: a client encodes the
frozen part of its images once, before the first round, and that is not counted.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.kinds import Kinds, Read, listed, shaped
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.recipe import Views
from pfedmma_dist.federation.cohort import Batch, steps_per_epoch
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.rng import Key

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


@dataclass(frozen=True)
class Arithmetic:
    """Floating-point operations of a client's training."""

    per_step: float  # of every step, such as the class side
    per_image: float  # of every image of a step, besides

    def of_round(self, federation: "Federation", clients: np.ndarray) -> np.ndarray:
        """Return those of a round of each of these clients [n]; of one that counts, in its first
        alone."""
        sizes, plan = federation.sizes[clients], federation.cfg.federation
        if federation.method.counts:
            return self.per_step + sizes * self.per_image
        per_epoch = steps_per_epoch(sizes, plan)
        images = np.minimum(sizes, per_epoch * plan.batch_size) * plan.local_epochs
        return federation.steps[clients] * self.per_step + images * self.per_image


def operations_of(federation: "Federation", client: np.ndarray) -> Arithmetic:
    """Count a client's [1] step of one image and one of two, which every matrix product is linear
    in: the same for all clients of its data set."""
    if not federation.layout.num_trained and not federation.method.counts:
        return Arithmetic(0.0, 0.0)
    # The first fills what is computed once of class texts.
    _, one, two = (_flops(federation, client, num_images) for num_images in (1, 1, 2))
    return Arithmetic(2 * one - two, two - one)


class NoImages(Features):
    """Features of no image."""

    def __init__(self, clip: FrozenCLIP) -> None:
        self.clip = clip

    def rows(self, kinds: Kinds, views: Views) -> Read:
        """Return numbers [n, *record_shape] of the type that features have."""
        draw, clip = torch.Generator().manual_seed(0), self.clip
        shapes = [(len(views[0]), *clip.record_shape(kind)) for kind in listed(kinds)]
        found = [torch.randn(shape, generator=draw) for shape in shapes]
        return shaped(kinds, [x.to(clip.device, clip.text.dtype) for x in found])


def _flops(federation: "Federation", client: np.ndarray, num_images: int) -> int:
    """Return the operations of a client's [1] first step, or of what it counts of its images."""
    method, layout, clip = federation.method, federation.layout, federation.clip
    rows = np.repeat(federation.task.train.rows(int(client[0]))[:1], num_images)
    if method.counts:
        images = torch.nn.functional.normalize(torch.ones(num_images, clip.dims.embed_dim), dim=1)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            if layout.num_shared:
                method.statistics(images, torch.from_numpy(federation.label_of(rows)))
        return counter.get_total_flops()
    usual, text = federation.trainer, federation.text_of(client)
    trainer = LocalTrainer(
        method, layout, text, NoImages(clip), usual.label_of, usual.optim, usual.corrections,
        usual.columns_of,
    )  # fmt: skip
    download = federation.exchange.download(client, training=True)
    private = federation.clients.template[: layout.num_private].to(clip.device)
    theta = torch.cat([private[None], download.shared.to(clip.device)], dim=1)
    method.deal(layout.views(theta), client)
    memory = federation.clients.template[layout.num_private :][: trainer.num_memory]
    batch = Batch(
        rows[None], np.zeros((1, num_images), np.int64), np.ones((1, num_images), np.float32),
        np.ones(1, bool), (Key(federation.cfg.seed, 0, int(client[0]), 0),),
    )  # fmt: skip
    with torch.no_grad():
        prepared = method.prepare(download.extra, text)
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        trainer.train(theta, memory[None].to(clip.device), prepared, [batch])
    return counter.get_total_flops()
