"""Probes: scores of a trained federation with numbers that are not the clients' own."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.data.tasks.task import Scope
from pfedmma_dist.federation.classify import Group
from pfedmma_dist.federation.evaluate import Scores, Start, score
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.quantities.scores import LOCAL


def why_not_swapped(federation: Federation) -> str:
    """Say why clients cannot exchange their private parts; nothing where they can."""
    if not federation.layout.num_private:
        return "no private part: nothing to swap"
    return "" if len(federation.seen) > 1 else "one client: nobody to swap with"


def swapped(federation: Federation) -> np.ndarray:
    """Return the accuracy [n, n] in percent of the numbers of each client that trains, a row each,
    on the own test images of each of them. Collective.

    All images are told apart among all classes, so the diagonal is Local. What a client was handed
    besides, such as others' prompts, goes with its numbers, and so does what
    `evaluate.finetune_epochs` makes of them.
    """
    local = {client: federation.task.scope_of(LOCAL, client) for client in federation.seen.tolist()}
    of_each = [
        Scope(str(client), own.class_set, own.rows_of(client), full=False)
        for client, own in local.items()
    ]
    found = _scored(federation, Examiner(federation).start, of_each)
    return np.stack([found.percent[scope.name][federation.seen] for scope in of_each], axis=1)


def why_not_silent(federation: Federation) -> str:
    """Say why the method cannot be switched off; nothing where it can."""
    if not federation.layout.num_trained:
        return "nothing is trained: nothing to switch off"
    if not federation.method.neutral:
        return "what it trains stands in place of CLIP's own: no value of it is zero-shot CLIP"
    return ""


def silenced(federation: Federation) -> Scores:
    """Score every client on all test sets with the method's contribution at zero. Collective."""
    layout, neutral = federation.layout, federation.method.neutral
    off = [spec.name.partition(".")[0] in neutral for spec in layout.specs]
    sizes = torch.tensor([spec.size for spec in layout.specs])
    is_off = torch.tensor(off).repeat_interleave(sizes)  # [P + S]

    def start(clients: np.ndarray) -> tuple[Tensor, Any]:
        theta, extra = federation.start(clients, training=False)
        return theta.masked_fill(is_off.to(theta.device), 0.0), extra

    return _scored(federation, start, list(federation.task.scopes))


def _scored(federation: Federation, start: Start, scopes: list[Scope]) -> Scores:
    groups = [Group(cohort.clients) for cohort in federation.cohorts(federation.seen)]
    classifier = Examiner(federation).classifier(federation.method, scopes)
    return score(classifier, start, groups, federation.world)
