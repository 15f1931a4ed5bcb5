"""Foresight: how long the last scoring of a run will take."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.federation.classify import Classifier, Group
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.grouping import those_to_score

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation

UNTIMED = 2_000
"""Images up to which the last scoring is not worth a look at its speed."""

TIMED_BATCH = 32
"""Images of a batch by which the speed is measured."""


@dataclass(frozen=True)
class Foreseen:
    """The last scoring of the clients that train."""

    rows: int  # of different numbers: clients, those that never trained being one
    images: int  # that one of them is scored on, about
    common: int  # of these, in test sets that all clients share
    seconds: float  # on each of the ranks


def foresee(federation: "Federation") -> Foreseen | None:
    """Return what the last scoring will take by the speed of two batches of it; None where it is
    short in any case. Needs no other rank."""
    examiner = Examiner(federation)
    classifier = examiner.classifier(federation.method, list(federation.task.scopes))
    rows, of_one = _rows(federation, examiner), those_to_score(federation)[:1]
    images = classifier.num_images(Group(of_one))
    if rows * images <= UNTIMED:
        return None
    seconds = rows * _seconds_of_one(federation, classifier, images) / federation.world.size
    common = sum(len(scope.rows) for scope in federation.task.scopes if scope.common)
    return Foreseen(rows, images, common, seconds)


def _rows(federation: "Federation", examiner: Examiner) -> int:
    """Return how many different rows of numbers there will be to score."""
    clients = those_to_score(federation)
    if examiner.tunes:
        return len(clients)
    if federation.uniform:
        return 1
    trained = np.isin(clients, federation.trained(federation.cfg.federation.rounds))
    return int(trained.sum()) + int(not trained.all())


def _seconds_of_one(federation: "Federation", classifier: Classifier, images: int) -> float:
    """Return what one client will take: its class side, and so many images."""
    shards = federation.by_shard(those_to_score(federation), federation.hosted)
    client = next((own[:1] for own in shards if len(own)), None)  # others have no features
    if client is None:
        return 0.0
    held = federation.start(client, training=False)
    small = replace(classifier, batch_size=TIMED_BATCH)

    def timed() -> tuple[float, float, int]:
        """Return the seconds of the first and the second batch, and the images of the latter."""
        seen: list[int] = []
        work = small.count(Group(client), held, seen.append)
        marks = [time.perf_counter()]
        for _ in range(2):
            next(work)
            marks.append(time.perf_counter())
        return marks[1] - marks[0], marks[2] - marks[1], seen[-1] if len(seen) > 1 else 0

    timed()  # the first pass of anything is slow
    first, second, count = timed()
    each = second / count if count else first / TIMED_BATCH
    return max(first - second, 0.0) + images * each
