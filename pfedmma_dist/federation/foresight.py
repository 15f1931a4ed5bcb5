"""Foresight: how long the last scoring of a run will take."""

import time
from dataclasses import dataclass, replace

import numpy as np

from pfedmma_dist.data.tasks.task import Scope
from pfedmma_dist.federation.classify import Classifier, Count, Group
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.grouping import PARTICIPANTS, those_to_score

UNTIMED = 2_000
"""Images up to which the last scoring is not worth a look at its speed."""

FIRST_LOOK = 8
"""Images of a batch by which speed is measured first; then in batches of scoring's own size, whose
images may be far faster, where four of them take LOOK_SECONDS at most."""

LOOK_SECONDS = 3.0

TRAINED = 3
"""Forward passes that a trained image costs: one there, and one back that costs two."""

ASKED = 16
"""Clients whose images are counted; the others' are taken to be as many on average."""


@dataclass(frozen=True)
class Workload:
    """Scoring of one state: rows of different numbers, and image passes."""

    own: int  # clients with numbers of their own
    images: float  # that one of them is scored on, on average; epochs before that counted in
    shared: int  # other rows: what clients begin with that never trained, or what all have
    shared_images: int  # that these are scored on, together

    @property
    def rows(self) -> int:
        return self.own + self.shared

    @property
    def passes(self) -> int:
        """Image passes in all, on one rank."""
        return round(self.own * self.images) + self.shared_images


@dataclass(frozen=True)
class Speed:
    """What scoring costs, in seconds."""

    row: float  # the class side of one row of numbers
    image: float

    def seconds(self, work: Workload, ranks: int) -> float:
        """Return what work takes on so many ranks; each of them has its shared rows to score."""
        own = work.own * self.row + work.own * work.images * self.image
        return own / ranks + work.shared * self.row + work.shared_images * self.image

    def corrected(self, factor: float) -> "Speed":
        """Return the speed of scoring that takes so many times as long."""
        return Speed(factor * self.row, factor * self.image)


@dataclass(frozen=True)
class Foreseen:
    """The last scoring of the clients that train."""

    work: Workload
    common: int  # images in test sets that all clients share
    speed: Speed
    seconds: float  # on each of the ranks


def foresee(federation: Federation) -> Foreseen | None:
    """Return what the last scoring will take by the speed of a few batches of it; None where it is
    short in any case. Needs no other rank."""
    rounds, scopes = federation.cfg.federation.rounds, list(federation.task.scopes)
    work = workload(federation, rounds, scopes)
    if work.passes <= UNTIMED:
        return None
    speed = _speed(federation, Examiner(federation).classifier(federation.method, scopes))
    common = sum(len(scope.together) for scope in scopes if scope.common)
    return Foreseen(work, common, speed, speed.seconds(work, federation.world.size))


def workload(federation: Federation, num_rounds: int, scopes: list[Scope]) -> Workload:
    """Return what scoring the state after so many rounds on these test sets has to do, as
    grouping.py will find it."""
    examiner, cfg = Examiner(federation), federation.cfg.evaluate
    classifier = examiner.classifier(federation.method, scopes)
    clients = those_to_score(federation)
    trained = np.isin(clients, federation.trained(num_rounds))
    if cfg.clients == PARTICIPANTS and federation.layout.num_trained:
        clients, trained = clients[trained], trained[trained]
    own, alike = clients[trained], [clients[~trained]]
    if examiner.tunes:
        own, alike = clients, []
    elif federation.uniform:
        own, alike = clients[:0], [clients]
    elif alike:
        dealt = np.array(federation.method.dealt)[alike[0] % len(federation.method.dealt)]
        alike = [alike[0][dealt == each] for each in np.unique(dealt)]
    alike = [own for some in alike for own in federation.task.by_set(some)]
    some = own[np.linspace(0, len(own) - 1, min(len(own), ASKED)).astype(int)]
    images = [classifier.num_images(Group(np.array([client]))) for client in some]
    each = float(np.mean(images)) if images else 0.0
    if examiner.tunes and len(own):
        each += TRAINED * cfg.finetune_epochs * float(federation.sizes[own].mean())
    groups = [Group(own, alike=True) for own in alike if len(own)]
    return Workload(len(own), each, len(groups), sum(map(classifier.num_images, groups)))


def _speed(federation: Federation, classifier: Classifier) -> Speed:
    """Return what a client's class sides, and an image, take."""
    shards = federation.by_shard(those_to_score(federation), federation.hosted)
    client = next((own[:1] for own in shards if len(own)), None)  # others have no features
    if client is None:
        return Speed(0.0, 0.0)
    held = federation.start(client, training=False)

    def timed(batch_size: int) -> Speed:
        """Return the speed of the first two batches of this size."""
        small, group = replace(classifier, batch_size=batch_size), Group(client)
        seen: list[int] = []
        work = Count(small, group, held, small.fresh(1)).run(seen.append)
        marks = [time.perf_counter()]
        for _ in range(2):
            next(work, None)
            marks.append(time.perf_counter())
        first, second = marks[1] - marks[0], marks[2] - marks[1]
        if len(seen) < 2 or not seen[1]:
            return Speed(0.0, first / max(sum(seen), 1))
        image = second / seen[1]
        asked = sum(bool(len(small.wanted(n, group)[0])) for n in range(len(small.streams)))
        return Speed(asked * max(first - seen[0] * image, 0.0), image)

    timed(FIRST_LOOK)  # the first pass of anything is slow
    found = timed(FIRST_LOOK)
    size = classifier.batch_size
    if size > FIRST_LOOK and 4 * size * found.image <= LOOK_SECONDS:
        timed(size)
        found = timed(size)
    return found
