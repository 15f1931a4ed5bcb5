"""Inference: whether what everybody is handed tells which images, and which clients, it is made of.

The attacker has the frozen CLIP, the class names and the shared part, at its start and now, but no
private part: in their place stand the numbers that every client starts with. An image counts as the
more of a member, the more the loss on it fell since the start (Yeom et al., CSF 2018, calibrated as
by Watson et al., ICLR 2022, with the start as the reference).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.views import first_view
from pfedmma_dist.quantities.scores import LOCAL
from pfedmma_dist.quantities.student import NORMAL, t_quantile

CHUNK = 256
"""Images that are classified at once."""


@dataclass(frozen=True)
class Guessed:
    """How well members are told from others: the chance that a member has the higher score of one
    of each (the area under the ROC curve), 0.5 for who knows nothing."""

    area: float
    margin: float  # half of its 95 % confidence interval; nan: not known
    members: int
    others: int


@dataclass(frozen=True)
class Attack:
    """What the attacker finds out."""

    images: Guessed | None  # training against test images, client by client; None: too few
    clients: Guessed | None  # those that trained against those that never did; None: too few


def attack(federation: Federation, num_rounds: int) -> Attack:
    """Return how well membership is guessed after so many rounds; needs no other rank, and all
    clients of the federation hosted here."""
    task, trained = federation.task, federation.trained(num_rounds)
    view = first_view(federation.cfg.data.views)
    never = np.intersect1d(federation.unseen, federation.scored)
    own = {client: task.train.rows(client) for client in np.union1d(trained, never)}
    test = {client: task.scope_of(LOCAL, client).rows_of(client) for client in trained}
    assert federation.sources is not None
    falls = _fall(federation, federation.sources.train, own, view)
    others = _fall(federation, federation.sources.test, test, 0)
    pairs = [
        (falls[client], others[client])
        for client in trained
        if len(falls[client]) and len(others[client])
    ]
    means = [
        np.array([falls[client].mean() for client in some if len(falls[client])])
        for some in (trained, never)
    ]
    return Attack(
        by_client(pairs) if len(pairs) > 1 else None,
        of_two(*means) if min(map(len, means)) > 1 else None,
    )


def by_client(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Guessed:
    """Return the mean area over clients, each with the scores of its members and of others, and its
    interval by Student's t: images of one client are alike, and clients are not."""
    areas = np.array([area(*pair) for pair in pairs])
    margin = t_quantile(len(areas) - 1) * areas.std(ddof=1) / math.sqrt(len(areas))
    members, others = (sum(len(pair[place]) for pair in pairs) for place in (0, 1))
    return Guessed(float(areas.mean()), float(margin), members, others)


def of_two(members: np.ndarray, others: np.ndarray) -> Guessed:
    """Return the area over scores of two kinds [n], [m], and its interval (Hanley and McNeil,
    Radiology 1982)."""
    found, n, m = area(members, others), len(members), len(others)
    twice, both = found / (2 - found), 2 * found**2 / (1 + found)
    square = found * (1 - found) + (n - 1) * (twice - found**2) + (m - 1) * (both - found**2)
    return Guessed(found, NORMAL * math.sqrt(max(square, 0.0) / (n * m)), n, m)


def area(members: np.ndarray, others: np.ndarray) -> float:
    """Return the share of pairs in which the member has the higher score; equal ones count half."""
    ascending = np.sort(others)
    below, upto = (np.searchsorted(ascending, members, side) for side in ("left", "right"))
    return float((below + upto).sum() / (2 * len(members) * len(others)))


def _fall(
    federation: Federation, features: Features, rows: dict[int, np.ndarray], view: int
) -> dict[int, np.ndarray]:
    """Return by how much the loss on each client's image rows has fallen."""
    template = federation.method.template(federation.layout, federation.cfg.seed, federation.clip)
    template = template.to(federation.clip.device)
    download = federation.exchange.download(np.zeros(1, np.int64), training=False)
    private = template[None, : federation.layout.num_private]
    now = torch.cat([private, download.shared.to(template.device)], dim=1)
    falls: dict[int, np.ndarray] = {}
    for some in federation.task.by_set(np.array([*rows], np.int64)):
        own = {client: rows[client] for client in some.tolist()}
        text = federation.text_of(some) if own else federation.train_text
        unique = np.unique(np.concatenate([np.zeros(0, np.int64), *own.values()]))
        before, after = (
            _losses(federation, text, theta, download.extra, features, unique, view)
            for theta in (template[None], now)
        )
        falls |= {
            client: (before - after)[np.searchsorted(unique, of)] for client, of in own.items()
        }
    return falls


@torch.no_grad()
def _losses(
    federation: Federation,
    text: ClassText,
    theta: Tensor,  # [1, P + S]
    extra: Any,
    features: Features,
    rows: np.ndarray,  # [n]
    view: int,
) -> np.ndarray:
    """Return the cross-entropy [n] float64 of image rows among these classes of training."""
    method = federation.method
    params, prepared = federation.layout.views(theta), method.prepare(extra, text)
    classes, found = method.classes(params, prepared, text), [np.zeros(0)]
    for begin in range(0, len(rows), CHUNK):
        part = rows[begin : begin + CHUNK]
        images = features.rows(method.images, (part, np.full(len(part), view)))
        seen = method.see(params, classes, mapped(images, lambda x: x[None]), text.clip)
        logits = method.logits(params, classes, seen, text.clip)[0]
        labels = torch.from_numpy(federation.label_of(part)).to(logits.device)
        found.append(F.cross_entropy(logits.double(), labels, reduction="none").cpu().numpy())
    return np.concatenate(found)
