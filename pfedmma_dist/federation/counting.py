"""Counting: rounds without gradients, in which clients count their images and take no step."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer, Seen
from pfedmma_dist.methods.method import encode

CHUNK = 256
"""Images that are counted at once; the sums are exact, so another number gives the same."""


def check(trainer: LocalTrainer, num_images: int) -> None:
    """Refuse what counting makes no use of, and more images than the sums of a method hold."""
    method = trainer.method
    if trainer.layout.num_shared and trainer.corrections:
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
    """Let a method that counts make each client's private part, and what it sends; see what loss
    that has, beside the shared part as it was downloaded, on the batches.

    A client that has counted before keeps its own, and sends zeros.
    """
    method, layout = trainer.method, trainer.layout
    sums, parts = [], []
    for own, old, row in zip(rows, known, theta, strict=True):
        found = _statistics(trainer, own[:0] if old else own, view)
        private, shared = row.split([layout.num_private, layout.num_shared])
        parts.append(torch.cat([private if old else method.private(found).to(row), shared]))
        sums.append(found)
    theta, seen = torch.stack(parts), Seen(theta)
    for batch in batches:
        seen.add(trainer.losses(theta, prepared, batch), batch)
    return LocalResult(
        theta,
        seen.loss,
        seen.num_samples,
        memory,
        theta[:, :0],
        torch.stack(sums) if layout.num_shared else None,
    )


def _statistics(trainer: LocalTrainer, rows: np.ndarray, view: int) -> Tensor:
    """Return the exact sums [Q] int64 over a client's images."""
    method, clip = trainer.method, trainer.text.clip
    nothing = torch.zeros(0, clip.dims.embed_dim), torch.zeros(0, dtype=torch.int64)
    total = method.statistics(*nothing)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        images = trainer.features.rows(method.images, (part, np.full(len(part), view)))
        final = encode(clip, images[None], method.images)[0].cpu()
        total = total + method.statistics(final, torch.from_numpy(trainer.label_of(part)))
    return total
