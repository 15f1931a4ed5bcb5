"""Task: what every client trains on, and on which test sets it is scored.

A protocol is a function that turns images and a configuration into a `Task`; nothing downstream
knows which one it was. `base_to_novel` is the first. Further ones belong beside it, one function
each. Label shift: a single class set, clients that own rows of all its classes (a Dirichlet
`Partition` from partition.py), and one scope, the client's own test rows. Feature shift: the same,
with each domain's rows dealt to that domain's clients, in domain order.
"""

from dataclasses import dataclass

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config import DataConfig, Division
from pfedmma_dist.data.images import Images
from pfedmma_dist.data.partition import Partition, deal_classes


@dataclass(frozen=True, eq=False)
class ClassSet:
    """Classes that compete in one softmax, in the order of its columns."""

    name: str
    names: tuple[str, ...]  # [C]
    label_of: np.ndarray  # [classes of the data set] int64 column of an image label, -1: not here


@dataclass(frozen=True, eq=False)
class Scope:
    """One test set that every client is scored on."""

    name: str
    class_set: str
    rows: Partition | np.ndarray  # own rows of each client, or rows common to all of them
    full: bool  # scored at full evaluations only

    def rows_of(self, client: int) -> np.ndarray:
        """Return the rows that this client is scored on, ascending."""
        return self.rows.rows(client) if isinstance(self.rows, Partition) else self.rows


@dataclass(frozen=True, eq=False)
class Task:
    """A federation's data: rows of each client, the class sets and the test scopes."""

    images: Images
    class_sets: dict[str, ClassSet]
    train_classes: str  # class set of the training softmax
    train: Partition  # training rows of each client, ascending
    client_classes: Partition  # image labels each client owns, ascending
    scopes: tuple[Scope, ...]

    @property
    def num_clients(self) -> int:
        return self.train.num_clients

    def labels(self, class_set: str, rows: np.ndarray) -> np.ndarray:
        """Return the softmax column of each row in a class set, int64."""
        columns = self.class_sets[class_set].label_of[self.images.labels[rows]]
        assert (columns >= 0).all()
        return columns


def base_to_novel(images: Images, cfg: DataConfig, seed: int) -> Task:
    """Divide the base classes, the first half of the labels, among clients; the rest are novel.

    A client trains on `cfg.shots` images of each class it owns, with all base classes in the
    softmax. It is scored on the test images of its own classes (local), of all base classes (base),
    and of the novel classes, which no client has seen and which compete among themselves (novel).
    """
    num_classes = len(images.class_names)
    num_base = -(-num_classes // 2)
    if num_classes < 2:
        raise ValueError(
            f"data.name: base-to-novel needs at least 2 classes, {cfg.name!r} has {num_classes}"
        )
    owned = _deal_base_classes(num_base, num_classes, cfg)
    train_of = _rows_by_label(images, images.train)
    test_of = _rows_by_label(images, images.test)
    shots_of = [
        _draw(rows, cfg.shots, rng.generator(seed, "shots", label))
        for label, rows in enumerate(train_of[:num_base])
    ]
    train = Partition.of([_gather(shots_of, labels) for labels in owned])
    local = Partition.of([_gather(test_of, labels) for labels in owned])
    _refuse_idle_clients(images, owned, train, "training")
    _refuse_idle_clients(images, owned, local, "test")
    base, novel = np.arange(num_base), np.arange(num_base, num_classes)
    novel_rows = _gather(test_of, novel)
    if len(novel_rows) == 0:
        raise ValueError(f"data.root: {images.root} has no readable test image of a novel class")
    return Task(
        images=images,
        class_sets={
            "base": _class_set("base", images, base),
            "novel": _class_set("novel", images, novel),
        },
        train_classes="base",
        train=train,
        client_classes=Partition.of(owned),
        scopes=(
            Scope("local", "base", local, full=False),
            Scope("base", "base", _gather(test_of, base), full=True),
            Scope("novel", "novel", novel_rows, full=True),
        ),
    )


def _deal_base_classes(num_base: int, num_classes: int, cfg: DataConfig) -> list[np.ndarray]:
    """Return the base labels of each client, or say why a client would have none."""
    if cfg.num_clients > num_base:
        raise ValueError(
            f"data.num_clients: {cfg.num_clients} clients cannot share {num_base} base classes "
            f"(half of {num_classes}) with one each; {num_base} is the most"
        )
    owned = deal_classes(num_base, cfg.num_clients, cfg.division)
    idle = [client for client, labels in enumerate(owned) if len(labels) == 0]
    if idle:
        raise ValueError(
            f"data.num_clients: dealing {num_base} base classes to {cfg.num_clients} clients as "
            f"published leaves clients {idle[0]} to {idle[-1]} without a class; set "
            f"data.division={Division.balanced.value}, or fewer clients"
        )
    return owned


def _rows_by_label(images: Images, rows: np.ndarray) -> list[np.ndarray]:
    """Return, for every label, its part of `rows`, ascending."""
    rows = np.sort(rows)
    labels = images.labels[rows]
    counts = np.bincount(labels, minlength=len(images.class_names))
    return np.split(rows[np.argsort(labels, kind="stable")], np.cumsum(counts)[:-1])


def _draw(rows: np.ndarray, shots: int, generator: np.random.Generator) -> np.ndarray:
    """Return `shots` of these rows, or all of them where there are fewer."""
    return rows if len(rows) <= shots else generator.choice(rows, shots, replace=False)


def _gather(rows_of: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Return the rows of these labels, ascending."""
    return np.sort(np.concatenate([rows_of[label] for label in labels]))


def _class_set(name: str, images: Images, labels: np.ndarray) -> ClassSet:
    """Number these labels from 0 in their order."""
    label_of = np.full(len(images.class_names), -1, np.int64)
    label_of[labels] = np.arange(len(labels))
    return ClassSet(name, tuple(images.class_names[label] for label in labels), label_of)


def _refuse_idle_clients(
    images: Images, owned: list[np.ndarray], rows: Partition, kind: str
) -> None:
    """Name the first client that has no image of this kind."""
    idle = np.flatnonzero(rows.sizes() == 0)
    if len(idle) > 0:
        names = ", ".join(images.class_names[label] for label in owned[idle[0]])
        raise ValueError(
            f"data.root: client {idle[0]} has no readable {kind} image of its classes ({names}) "
            f"in {images.root}; add images, or change data.num_clients"
        )
