"""Validation images are nobody's training or test images, and asked for by a key alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.config.keys import DataConfig, Dealing, Experiment
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.sets.registry import read
from pfedmma_dist.data.tasks.registry import TASKS
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.data.tasks.validation import held_apart

CLASSES, CLIENTS = 8, 4
SETTINGS = [
    {"task": Experiment.base_to_novel, "shots": 5},
    {"task": Experiment.base_to_novel, "shots": 5, "compat": True},
    *({"task": Experiment.label_shift, "partition": dealing} for dealing in Dealing),
    {"task": Experiment.label_shift, "compat": True, "beta": 50.0},
    {"task": Experiment.feature_shift},
    {"task": Experiment.feature_shift, "held_out": "sketch"},
]


def images(val: int = 0) -> Images:
    """Return images in two domains that come with clients; val: of a class for validation."""
    counts = (20, 12, val)
    labels = np.concatenate([np.tile(np.arange(CLASSES), count) for count in counts])
    rows, cuts = np.arange(len(labels)), np.cumsum(counts[:2]) * CLASSES
    train, test, own = np.split(rows, cuts)
    return Images(
        Files(Path("root"), tuple(map(str, rows))),
        labels,
        tuple(f"class {label}" for label in range(CLASSES)),
        train,
        test,
        domains=rows // CLASSES % 2,
        domain_names=("photo", "sketch"),
        owners=rows // 3 % CLIENTS,
        owner_names=tuple("abcd"),
        superclasses=np.arange(CLASSES) % 2,
        val=own,
    )


def divided(found: Images, **keys: object) -> Task:
    cfg = DataConfig(**{"num_clients": CLIENTS, **keys})
    return TASKS[cfg.task](found, cfg, 1)


def scope(task: Task, name: str) -> Partition:
    [rows] = [scope.rows for scope in task.scopes if scope.name == name]
    return rows


def is_apart(task: Task) -> bool:
    """Whether no row is in two of what is trained, validated and tested on."""
    tested = [s.rows if s.common else s.rows.members for s in task.scopes if s.name != "val"]
    parts = task.train.members, scope(task, "val").members, np.unique(np.concatenate(tested))
    together = np.concatenate(parts)
    return len(np.unique(together)) == len(together)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_nothing_is_held_apart_unasked(setting):
    task = divided(images(), **setting)
    assert "val" not in [scope.name for scope in task.scopes]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_share_of_each_clients_training_images_is_held_apart(setting):
    usual, task = divided(images(), **setting), divided(images(), **setting, validation=0.2)
    val = scope(task, "val")
    assert is_apart(task)
    for client in range(task.num_clients):
        both = np.union1d(task.train.rows(client), val.rows(client))
        assert both.tolist() == usual.train.rows(client).tolist()
        assert abs(len(val.rows(client)) - 0.2 * len(both)) <= 0.5
        labels = (task.images.labels[part.rows(client)] for part in (usual.train, task.train))
        assert np.array_equal(*map(np.unique, labels))
    assert [s.name for s in task.scopes if s.name != "val"] == [s.name for s in usual.scopes]
    assert np.array_equal(task.client_classes.members, usual.client_classes.members)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_images_that_the_set_brings_leave_training_as_it_is(setting):
    usual, task = divided(images(), **setting), divided(images(6), **setting, validation=0.2)
    val, labels = scope(task, "val"), task.images.labels
    assert is_apart(task)
    assert task.train.members.tolist() == usual.train.members.tolist()
    assert set(val.members) <= set(task.images.val)
    for client in range(task.num_clients):
        assert (np.diff(val.rows(client)) > 0).all()
        own = np.unique(labels[task.train.rows(client)])
        if setting.get("partition") is not Dealing.natural:
            assert np.isin(labels[val.rows(client)], own).all()


def test_natural_clients_keep_the_validation_images_that_they_come_with():
    found = images(6)
    task = divided(found, task=Experiment.label_shift, partition=Dealing.natural, validation=0.5)
    for client in range(CLIENTS):
        expected = found.val[found.owners[found.val] == client]
        assert scope(task, "val").rows(client).tolist() == expected.tolist()


def test_images_of_a_domain_go_to_its_clients():
    task = divided(images(6), task=Experiment.feature_shift, validation=0.2)
    for client in range(CLIENTS):
        domains = task.images.domains[scope(task, "val").rows(client)]
        assert set(domains) <= {task.client_domains[client]}


@pytest.mark.parametrize("shots, most", [(2, 2), (16, 4)])
def test_few_shots_come_with_few_validation_images_of_base_classes(shots, most):
    task = divided(images(6), shots=shots, validation=0.2)
    counts = np.bincount(task.images.labels[scope(task, "val").members], minlength=CLASSES)
    assert counts.tolist() == [most] * (CLASSES // 2) + [0] * (CLASSES // 2)


def test_seed_draws_what_is_held_apart():
    train = Partition.of([np.arange(40)])
    labels = np.arange(40) % 4
    _, one = held_apart(train, labels, 0.25, 1)
    _, again = held_apart(train, labels, 0.25, 1)
    _, other = held_apart(train, labels, 0.25, 2)
    assert one.members.tolist() == again.members.tolist() != other.members.tolist()
    assert np.bincount(labels[one.members]).max() <= 3


def test_client_of_single_images_has_none():
    train = Partition.of([np.array([0]), np.array([1, 2, 3, 4])])
    rest, val = held_apart(train, np.zeros(5, np.int64), 0.5, 1)
    assert rest.sizes().tolist() == [1, 2] and val.sizes().tolist() == [0, 2]


def test_share_that_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"^data\.validation: 0\.01 of .* set a larger share"):
        divided(images(), shots=2, validation=0.01)


def test_images_of_novel_classes_alone_are_refused():
    found = images(1)
    found = replace(found, val=found.val[found.labels[found.val] >= CLASSES // 2])
    with pytest.raises(ValueError, match=r"^data\.validation: root brings 4 .* add some"):
        divided(found, validation=0.2)


def test_glyphs_bring_a_third_split_beside_the_same_two():
    def glyphs(**keys: object) -> Images:
        sizes = {"train_per_class": 6, "test_per_class": 2}
        return read(DataConfig(name="glyphs", **sizes, **keys), 3, Path("nowhere"))

    usual, found = glyphs(), glyphs(validation=0.5)
    assert found.val.tolist() == list(range(800, 1100))
    assert found.labels[found.val[:4]].tolist() == [0, 0, 0, 1]
    assert np.array_equal(found.labels[:800], usual.labels)
    some = np.array([0, 605, 799])
    kept, own = usual.store.inspect(some).content, found.store.inspect(some).content
    assert np.array_equal(kept, own)
    three = found.store.open(np.array([0, 600, 800]))  # the first of each split, of one class
    drawn = [np.asarray(image) for image in three]
    assert np.array_equal(drawn[0], np.asarray(usual.store.open(np.array([0]))[0]))
    assert not np.array_equal(drawn[0], drawn[2]) and not np.array_equal(drawn[1], drawn[2])
    [label] = found.store.labels(np.array([800]))
    assert label == f"validation image 0 of {found.class_names[0]!r}"
    assert is_apart(divided(found, num_clients=10, validation=0.5))
