"""Counting: what clients make of their own images, without gradients, and rounds of it alone."""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.corrections.correction import Correction
from pfedmma_dist.federation.seen import Seen
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer
from pfedmma_dist.methods.method import Method, encode
from pfedmma_dist.params import Layout

CHUNK = 256
"""Images that are counted at once; the sums are exact, so another number gives the same."""


def check(
    method: Method, layout: Layout, corrections: Sequence[Correction], num_images: int = 0
) -> None:
    """Refuse what counting makes no use of, and more images than the sums of a method hold."""
    if layout.num_shared and corrections:
        raise ValueError(
            f"method.name: {method.name} takes no step that federation.proximal, correction.name "
            "or control.shared could change; set federation.proximal=0, correction.name=none and "
            "control.shared=trained"
        )
    if method.most_images is not None and num_images > method.most_images:
        raise ValueError(
            f"method.name: the sums of {method.name} hold {method.most_images:,} training images "
            f"of all clients, and there are {num_images:,}; choose fewer classes (data.classes) or "
            "another method"
        )


@torch.no_grad()
def count(
    trainer: LocalTrainer,
    theta: Tensor,  # [G, P + S]
    memory: Tensor,  # [G, M]
    prepared: Any,
    rows: Sequence[np.ndarray],  # [G] all training images of each client
    view: int,  # in which they are seen
    known: np.ndarray,  # [G] bool: clients that have counted before
    batches: Iterable[Batch],
) -> LocalResult:
    """Let a method that counts make what each client sends; see what loss its row has, beside the
    shared part as it was downloaded, on the batches.

    A client that has counted before sends zeros.
    """
    sums, seen = None, Seen(theta)
    if trainer.layout.num_shared:
        new = [own[:0] if old else own for own, old in zip(rows, known, strict=True)]
        sums = torch.stack([_statistics(trainer, own, view) for own in new])
    for step in trainer.laid(batches, theta):
        seen.add(trainer.losses(theta, prepared, step), step)
    return LocalResult(theta, seen.loss, seen.num_samples, memory, theta[:, :0], sums)


@torch.no_grad()
def begun(
    trainer: LocalTrainer,
    theta: Tensor,  # [G, P + S]
    rows: Sequence[np.ndarray],  # [G] all training images of each client
    view: int,  # in which they are seen
    known: np.ndarray,  # [G] bool: clients that have had a round before
) -> Tensor:
    """Return the rows with what their own images make of clients that have had no round yet."""
    theta = theta.clone()
    params = trainer.layout.views(theta)  # filling them fills the rows
    for g in np.flatnonzero(~known).tolist():
        images, labels = map(torch.cat, zip(*_chunks(trainer, rows[g], view), strict=True))
        for name, values in trainer.method.begin(images, labels).items():
            params[name][g] = values
    return theta


def _statistics(trainer: LocalTrainer, rows: np.ndarray, view: int) -> Tensor:
    """Return the exact sums [Q] int64 over a client's images."""
    chunks = _chunks(trainer, rows, view)
    return reduce(torch.add, (trainer.method.statistics(*chunk) for chunk in chunks))


def _chunks(trainer: LocalTrainer, rows: np.ndarray, view: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield none of a client's images, then all of them [n, D], unit vectors, and their labels
    [n], on the CPU."""
    kind, clip = trainer.method.images, trainer.text.clip
    yield torch.zeros(0, clip.dims.embed_dim), torch.zeros(0, dtype=torch.int64)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        images = trainer.features.rows(kind, (part, np.full(len(part), view)))
        assert isinstance(images, Tensor)
        final = encode(clip, images[None], kind)[0].cpu()
        yield final, torch.from_numpy(trainer.label_of(part))
