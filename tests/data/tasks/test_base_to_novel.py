import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.config.keys import DataConfig, Dealing, Division
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images, without
from pfedmma_dist.data.tasks.base_to_novel import (
    base_to_novel,
    deal_classes,
    fixed_shots,
    pooled_shots,
)
from pfedmma_dist.data.tasks.task import Task

GOLDEN = Path(__file__).parents[2] / "golden"


def listed(num_classes: int, train: int = 5, test: int = 2) -> Images:
    """Return images whose rows run through the classes in turn, training rows first."""
    labels = np.concatenate([np.tile(np.arange(num_classes), count) for count in (train, test)])
    rows = np.arange(len(labels))
    names = tuple(f"class {label}" for label in range(num_classes))
    cut = train * num_classes
    paths = tuple(f"{row}.jpg" for row in rows)
    return Images(Files(Path("root"), paths), labels, names, rows[:cut], rows[cut:])


def task_of(images: Images, seed: int = 1, **changes: object) -> Task:
    return base_to_novel(images, DataConfig(**{"num_clients": 2, "shots": 3, **changes}), seed)


@pytest.mark.parametrize("num_classes", [7, 19, 24, 50, 51, 199])
def test_published_division_equals_the_reference(num_classes):
    with np.load(GOLDEN / "fewshot.npz") as golden:
        expected = golden[f"fewshot/ncls{num_classes}_users10/class_to_client"]
    client_of = np.full(num_classes, -1)
    for client, labels in enumerate(deal_classes(num_classes, 10, Division.published)):
        client_of[labels] = client
    assert client_of.tolist() == expected.tolist()


@pytest.mark.parametrize("num_classes, num_clients", [(24, 10), (7, 7), (5, 1), (16, 10), (9, 4)])
def test_balanced_division_differs_by_one_and_loses_nothing(num_classes, num_clients):
    owned = deal_classes(num_classes, num_clients, Division.balanced)
    sizes = [len(labels) for labels in owned]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate(owned)) == list(range(num_classes))


def test_balanced_and_published_agree_where_classes_divide_evenly():
    published = deal_classes(50, 10, Division.published)
    balanced = deal_classes(50, 10, Division.balanced)
    assert all(map(np.array_equal, published, balanced))


def test_division_leaves_pythons_generator_alone():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    deal_classes(50, 10, Division.published)
    assert random.random() == expected


def test_published_shots_equal_the_reference():
    with np.load(GOLDEN / "partitions.npz") as golden:
        expected = golden["fewshot/ncls19_users10_shots4/chosen_item_ids"]  # of 24 in each class
    owned = deal_classes(19, 10, Division.published)
    shots_of = fixed_shots([np.arange(24)] * 19, owned, 4)
    for label, shots in enumerate(shots_of):
        assert shots.tolist() == expected[expected[:, 0] == label, 1].tolist()


def test_compat_takes_fixed_shots_whatever_the_seed():
    images = replace(listed(38, train=24), fixed_shots=True)
    changes = {"num_clients": 10, "shots": 4, "compat": True}
    task = task_of(images, seed=1, **changes)
    rows_of = [np.flatnonzero(images.labels[images.train] == label) for label in range(19)]
    owned = deal_classes(19, 10, Division.published)
    shots_of = fixed_shots(rows_of, owned, 4)
    assert sorted(task.train.members) == sorted(np.concatenate(shots_of))
    assert task_of(images, seed=2, **changes).train.members.tolist() == task.train.members.tolist()


def test_pool_is_drawn_label_after_label_as_the_list_names_them_first():
    images = listed(4, train=6)
    order = np.array([2, 5, 0, 1, 2, 2, 5, 0, 4, 4, 1, 3])  # of labels in the list
    images = replace(
        images, labels=order, class_names=tuple("abcdef"), train=np.arange(12), test=np.arange(12)
    )
    picker, wanted = random.Random(7), {}
    for label in (2, 5, 0, 1, 4, 3):
        rows = [row for row in range(12) if order[row] == label]
        wanted[label] = picker.sample(rows, 2) if len(rows) >= 2 else rows
    found = pooled_shots(images, 2, 7)
    assert {label: rows.tolist() for label, rows in enumerate(found)} == wanted


def test_compat_takes_the_pool_of_the_seed():
    images = listed(38, train=24)
    changes = {"num_clients": 10, "shots": 4, "compat": True}
    for seed in (1, 2):
        task = task_of(images, seed, **changes)
        pool = pooled_shots(images, 4, seed)[:19]
        assert sorted(task.train.members) == sorted(np.concatenate(pool))
    assert not np.array_equal(task.train.members, task_of(images, 1, **changes).train.members)


def test_compat_with_another_division_is_refused():
    with pytest.raises(ValueError, match="data.compat: .*needs data.division=published, not bal"):
        task_of(listed(8), compat=True, division=Division.balanced)


def test_keys_of_other_experiments_are_refused():
    with pytest.raises(ValueError, match="data.partition: iid deals images, .*set data.task=label"):
        task_of(listed(8), partition=Dealing.iid)
    with pytest.raises(ValueError, match="data.held_out: 'sketch' .*set data.task=feature_shift"):
        task_of(listed(8), held_out="sketch")


def test_clients_that_are_not_counted_must_come_with_the_images():
    with pytest.raises(ValueError, match="data.num_clients: null means .*set a number"):
        task_of(listed(8), num_clients=None)


def test_first_half_of_the_labels_is_base_and_takes_the_odd_class():
    task = task_of(listed(7))
    assert task.class_sets["base"].names == ("class 0", "class 1", "class 2", "class 3")
    assert task.class_sets["novel"].names == ("class 4", "class 5", "class 6")
    assert task.class_sets["novel"].label_of.tolist() == [-1, -1, -1, -1, 0, 1, 2]
    assert task.train_classes == "base"


def test_labels_are_columns_of_the_class_set():
    task = task_of(listed(7))
    assert task.labels("base", np.array([3, 0])).tolist() == [3, 0]
    assert task.labels("novel", np.array([4, 6])).tolist() == [0, 2]


def test_clients_own_the_dealt_classes():
    task = task_of(listed(7))
    for client, labels in enumerate(deal_classes(4, 2, Division.published)):
        assert task.client_classes.rows(client).tolist() == labels.tolist()
        owned = task.images.labels[task.train.rows(client)]
        assert sorted(owned) == sorted(np.repeat(labels, 3))


def test_training_rows_ascend_and_are_never_test_rows():
    task = task_of(listed(8))
    for client in range(task.num_clients):
        rows = task.train.rows(client)
        assert (np.diff(rows) > 0).all()
        assert np.isin(rows, task.images.train).all()


def test_class_with_few_images_gives_all_of_them():
    task = task_of(listed(8), shots=16)
    assert task.train.sizes().tolist() == [10, 10]


def test_shots_of_a_class_follow_the_seed_and_not_the_division():
    def rows_of_label_0(task: Task) -> list[int]:
        return [row for row in task.train.members.tolist() if task.images.labels[row] == 0]

    images = listed(8, train=40)
    chosen = rows_of_label_0(task_of(images))
    assert rows_of_label_0(task_of(images, num_clients=4)) == chosen
    assert rows_of_label_0(task_of(images, seed=2)) != chosen


def test_scopes_are_own_base_and_novel_test_images():
    task = task_of(listed(7))
    local, own, base, novel = task.scopes
    assert [scope.name for scope in task.scopes] == ["local", "own", "base", "novel"]
    assert [scope.class_set for scope in task.scopes] == ["base", "base", "base", "novel"]
    assert [scope.full for scope in task.scopes] == [False, False, True, True]
    assert own.own_classes and own.rows is local.rows and not local.own_classes
    test = task.images.test
    labels = task.images.labels[test]
    assert base.rows.tolist() == test[labels < 4].tolist()
    assert novel.rows.tolist() == test[labels >= 4].tolist()
    for client in range(2):
        own = test[np.isin(labels, task.client_classes.rows(client))]
        assert local.rows.rows(client).tolist() == own.tolist()


@pytest.mark.parametrize("num_clients", [5, 100])
def test_clients_without_a_class_each_are_refused(num_clients):
    with pytest.raises(ValueError, match=f"data.num_clients: {num_clients} .*share 4 base classes"):
        task_of(listed(7), num_clients=num_clients)


def test_published_division_that_leaves_clients_empty_names_the_remedy():
    with pytest.raises(ValueError, match="clients 8 to 9 without a class; set data.division=bal"):
        task_of(listed(32), num_clients=10)
    assert task_of(listed(32), num_clients=10, division=Division.balanced).num_clients == 10


def test_single_class_has_no_novel_half():
    with pytest.raises(ValueError, match="data.name: .*at least 2 classes"):
        task_of(listed(1), num_clients=1)


@pytest.mark.parametrize("part, kind", [("train", "training"), ("test", "test")])
def test_client_without_images_is_named(part, kind):
    images = listed(4)
    own = deal_classes(2, 2, Division.published)[1]
    rows = getattr(images, part)
    images = without(images, rows[np.isin(images.labels[rows], own)])
    with pytest.raises(ValueError, match=f"client 1 has no readable {kind} image"):
        task_of(images)


def test_missing_novel_test_images_are_refused():
    images = listed(4)
    images = without(images, images.test[images.labels[images.test] >= 2])
    with pytest.raises(ValueError, match="no readable test image of a novel class"):
        task_of(images)
