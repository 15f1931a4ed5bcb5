"""Base-to-novel: clients own disjoint base classes, and novel ones tell whether they forgot."""

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config import DataConfig, Division
from pfedmma_dist.data.images import Images
from pfedmma_dist.data.partition import Partition, by_label, deal_classes
from pfedmma_dist.data.task import ClassSet, Scope, Task


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
        raise ValueError(f"data.root: {images.place} has no readable test image of a novel class")
    return Task(
        images=images,
        class_sets={
            "base": ClassSet.of("base", images, base),
            "novel": ClassSet.of("novel", images, novel),
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
    return [rows[places] for places in by_label(images.labels[rows], len(images.class_names))]


def _draw(rows: np.ndarray, shots: int, generator: np.random.Generator) -> np.ndarray:
    """Return `shots` of these rows, or all of them where there are fewer."""
    return rows if len(rows) <= shots else generator.choice(rows, shots, replace=False)


def _gather(rows_of: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Return the rows of these labels, ascending."""
    return np.sort(np.concatenate([rows_of[label] for label in labels]))


def _refuse_idle_clients(
    images: Images, owned: list[np.ndarray], rows: Partition, kind: str
) -> None:
    """Name the first client that has no image of this kind."""
    idle = np.flatnonzero(rows.sizes() == 0)
    if len(idle) > 0:
        names = ", ".join(images.class_names[label] for label in owned[idle[0]])
        raise ValueError(
            f"data.root: client {idle[0]} has no readable {kind} image of its classes ({names}) "
            f"in {images.place}; add images, or change data.num_clients"
        )
