"""Base-to-novel: clients own disjoint base classes, and novel ones tell whether they forgot."""

import random

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config.keys import DataConfig, Division
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.partitioners.partition import Partition, by_label
from pfedmma_dist.data.tasks.task import ClassSet, Scope, Task, count_clients, refuse_held_out
from pfedmma_dist.data.tasks.validation import FEW_SHOTS, validated

DEAL_SEED = 2023
"""Seed of the published division of classes; the run's seed does not touch it (pFedMMA, FedPGP)."""


def base_to_novel(images: Images, cfg: DataConfig, seed: int) -> Task:
    """Divide the base classes, the first half of the labels, among clients; the rest are novel.

    A client trains on `cfg.shots` images of each class it owns, with all base classes in the
    softmax. It is scored on the test images of its own classes (local), of all base classes (base),
    and of the novel classes, which no client has seen and which compete among themselves (novel).
    Validation images are of its own classes: nobody may choose by what is novel.
    """
    refuse_held_out(cfg)
    if cfg.partition is not DataConfig.partition:
        raise ValueError(
            f"data.partition: {cfg.partition.value} deals images, and base_to_novel deals classes; "
            "set data.task=label_shift or feature_shift"
        )
    num_classes = len(images.class_names)
    num_base = -(-num_classes // 2)
    if num_classes < 2:
        raise ValueError(
            f"data.name: base-to-novel needs at least 2 classes, {cfg.name!r} has {num_classes}"
        )
    owned = _deal_base_classes(num_base, num_classes, _count_clients(images, num_base, cfg), cfg)
    train_of = _rows_by_label(images, images.train)
    test_of = _rows_by_label(images, images.test)
    if cfg.compat:
        _refuse_other_division(cfg)
        shots_of = (
            fixed_shots(train_of[:num_base], owned, cfg.shots)
            if images.fixed_shots
            else pooled_shots(images, cfg.shots, seed)
        )
    else:
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
    task = Task(
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
            Scope("own", "base", local, full=False, own_classes=True),
            Scope("base", "base", _gather(test_of, base), full=True),
            Scope("novel", "novel", novel_rows, full=True),
        ),
    )

    def brought() -> Partition:
        most = min(cfg.shots, FEW_SHOTS)
        val_of = [
            _draw(rows, most, rng.generator(seed, "validation shots", label))
            for label, rows in enumerate(_rows_by_label(images, images.val)[:num_base])
        ]
        return Partition.of([_gather(val_of, labels) for labels in owned])

    return validated(task, cfg, seed, brought)


def deal_classes(num_classes: int, num_clients: int, division: Division) -> list[np.ndarray]:
    """Return the ascending labels of each client; every label has one owner.

    published: of the shuffled labels each client takes the next round(classes / clients), half
    rounded to even, and the last takes what is left. Where rounding up runs out of labels, late
    clients get none. balanced: the same shuffle, cut into parts that differ by one at most.
    """
    labels = np.array(_shuffled(num_classes, random.Random(DEAL_SEED)), np.int64)
    if division is Division.balanced:
        parts = np.array_split(labels, num_clients)
    else:
        quota = round(num_classes / num_clients)
        parts = np.split(labels, np.minimum(quota * np.arange(1, num_clients), num_classes))
    return [np.sort(part) for part in parts]


def pooled_shots(images: Images, shots: int, seed: int) -> list[np.ndarray]:
    """Return the training rows of each label as published, or all where there are fewer.

    All labels, novel ones too, read one generator of the run's seed, in the order in which the list
    of training images first names them. (The published code draws once more, by 2023 and from these
    rows alone, which permutes them. Seed 0 is no seed there.)
    """
    rows_of, picker = _rows_by_label(images, images.train), random.Random(seed)
    for label in dict.fromkeys(images.labels[np.sort(images.train)].tolist()):
        if len(rows_of[label]) >= shots:
            rows_of[label] = np.array(picker.sample(rows_of[label].tolist(), shots), np.int64)
    return rows_of


def fixed_shots(rows_of: list[np.ndarray], owned: list[np.ndarray], shots: int) -> list[np.ndarray]:
    """Return the same where the published code passes over the run's seed, as for Oxford Pets.

    rows_of: ascending, of each base label. The generator that shuffled the labels goes on, client
    by client, and of each through its labels as the list names them first.
    """
    picker = random.Random(DEAL_SEED)
    _shuffled(len(rows_of), picker)
    shots_of = list(rows_of)
    for own in owned:
        for label in sorted(own, key=lambda label: rows_of[label][:1].tolist()):
            if len(rows_of[label]) >= shots:
                shots_of[label] = np.array(picker.sample(rows_of[label].tolist(), shots), np.int64)
    return shots_of


def _refuse_other_division(cfg: DataConfig) -> None:
    if cfg.division is not Division.published:
        raise ValueError(
            f"data.compat: base_to_novel as published needs data.division="
            f"{Division.published.value}, not {cfg.division.value}; set one of the two"
        )


def _count_clients(images: Images, num_base: int, cfg: DataConfig) -> int:
    """Return how many clients share so many base classes."""
    if cfg.base_classes is None:
        return count_clients(images, cfg)
    if cfg.num_clients is not None:
        raise ValueError(
            f"data.num_clients: {cfg.num_clients} clients, and data.base_classes="
            f"{cfg.base_classes} says how many there are; set one of the two to null"
        )
    return -(-num_base // cfg.base_classes)


def _shuffled(count: int, picker: random.Random) -> list[int]:
    """Return 0 to count - 1 in the order of the published division."""
    numbers = list(range(count))
    picker.shuffle(numbers)
    return numbers


def _deal_base_classes(
    num_base: int, num_classes: int, num_clients: int, cfg: DataConfig
) -> list[np.ndarray]:
    """Return the base labels of each client, or say why a client would have none."""
    if num_clients > num_base:
        raise ValueError(
            f"data.num_clients: {num_clients} clients cannot share {num_base} base classes "
            f"(half of {num_classes}) with one each; {num_base} is the most"
        )
    owned = deal_classes(num_base, num_clients, cfg.division)
    idle = [client for client, labels in enumerate(owned) if len(labels) == 0]
    if idle:
        raise ValueError(
            f"data.num_clients: dealing {num_base} base classes to {num_clients} clients as "
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
