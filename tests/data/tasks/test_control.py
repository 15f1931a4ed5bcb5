"""Negative controls of a task keep images and clients, and put labels or names in disorder."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import NUM_TRAIN, tiny_task

from pfedmma_dist.config.choices import Order
from pfedmma_dist.config.keys import ControlConfig
from pfedmma_dist.data.tasks.control import controlled
from pfedmma_dist.data.tasks.task import ClassSet

LABELS, NAMES = (ControlConfig(**{key: Order.permuted}) for key in ("labels", "names"))


def test_task_without_a_control_is_the_same_one() -> None:
    task = tiny_task()
    assert controlled(task, ControlConfig(), 1) is task


def test_permuted_labels_are_those_of_the_federation_and_tests_keep_theirs() -> None:
    task = tiny_task()
    found, rows = controlled(task, LABELS, 1), task.train.members
    before, after = task.images.labels, found.images.labels
    assert not np.array_equal(before[rows], after[rows])
    assert np.array_equal(np.sort(before[rows]), np.sort(after[rows]))
    others = np.setdiff1d(np.arange(len(before)), rows)
    assert np.array_equal(before[others], after[others])
    assert (others >= NUM_TRAIN).any()
    assert found.train is task.train and found.client_classes is task.client_classes


def test_permuted_names_leave_no_class_its_own() -> None:
    task = tiny_task()
    found = controlled(task, NAMES, 1)
    for name, classes in task.class_sets.items():
        names = found.class_sets[name].names
        assert sorted(names) == sorted(classes.names)
        assert all(a != b for a, b in zip(names, classes.names, strict=True))
        assert found.class_sets[name].label_of is classes.label_of


@pytest.mark.parametrize("cfg", [LABELS, NAMES], ids=["labels", "names"])
def test_disorder_is_that_of_the_seed(cfg: ControlConfig) -> None:
    def seen(seed: int) -> tuple[list[int], tuple[str, ...]]:
        task = controlled(tiny_task(), cfg, seed)
        return task.images.labels.tolist(), task.class_sets["base"].names

    assert seen(1) == seen(1)
    assert len({str(seen(seed)) for seed in range(1, 6)}) > 1


def test_single_class_has_nobody_to_exchange_names_with() -> None:
    task = tiny_task()
    alone = {"novel": ClassSet("novel", ("eel",), task.class_sets["novel"].label_of)}
    with pytest.raises(ValueError, match=r"^control\.names: .* 'novel' has 1; set control\.names="):
        controlled(replace(task, class_sets=alone), NAMES, 1)
