"""Defects of the pool of experts, as patches of one federation whose clients train one by one."""

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Download
from pfedmma_dist.exchange.experts import Upload
from pfedmma_dist.federation.cohort import Cohort
from pfedmma_dist.federation.federation import Federation

ORDER = (0, 3, 2, 1)
"""One random order of the recorded clients; of all 24 this one and 3, 0, 2, 1 fit what was
recorded, which hand out the same experts."""


def one_by_one(federation: Federation) -> None:
    def visits(index: int) -> list[Cohort]:
        order = federation.visited(index)
        return [Cohort(0, order[place : place + 1]) for place in range(len(order))]

    federation.visits = visits


def seen_at_once(federation: Federation) -> None:
    """Let the clients of a round see what those visited before them have sent in it."""
    one_by_one(federation)
    pool = federation.exchange
    download, upload, sync = pool.download, pool.upload, pool.sync
    handed: dict[int, tuple[Upload, ...]] = {}
    sent: dict[int, Upload] = {}

    def downloaded(clients: np.ndarray, *, training: bool) -> Download:
        found = download(clients, training=training)
        if training:
            handed.update(zip(clients.tolist(), found.extra, strict=True))
        return found

    def uploaded(clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        upload(clients, shared, weight)
        sent.update(zip(clients.tolist(), (Upload(row.clone()) for row in shared), strict=True))
        pool.last.update(sent)

    def synced(world: Any, riders: Tensor, participants: np.ndarray) -> Tensor:
        found = sync(world, riders, participants)
        pool.experts.update(handed)
        handed.clear()
        sent.clear()
        return found

    pool.download, pool.upload, pool.sync = downloaded, uploaded, synced


def one_order(federation: Federation) -> None:
    """Let all clients choose in one random order."""

    def order(client: int, known: list[int], rows: Tensor) -> list[int]:
        return [known.index(other) for other in ORDER if other in known]

    federation.exchange._order = order


def leaking_gate(federation: Federation) -> None:
    """Let a client's second participation begin with the gate of whoever was visited before."""
    one_by_one(federation)
    start, keep, size = federation.start, federation._keep, federation.layout.num_private
    live: list[Tensor] = []
    times = Counter()

    def started(clients: np.ndarray, *, training: bool) -> tuple[Tensor, Any]:
        theta, extra = start(clients, training=training)
        times.update(clients.tolist() * training)
        if training and times[int(clients[0])] == 2:
            theta = torch.cat([live[-1], theta[:, size:]], dim=1)
        return theta, extra

    def kept(cohort: Cohort, result: Any, own: Tensor) -> None:
        live[:] = [result.theta[:, :size]]
        keep(cohort, result, own)

    federation.start, federation._keep = started, kept
