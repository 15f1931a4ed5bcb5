"""Several data sets are divided each as it would be alone, and joined without a class in common."""

import numpy as np
import pytest
from test_base_to_novel import listed

from pfedmma_dist.config.attacking import AttackConfig
from pfedmma_dist.config.choices import AttackName
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.data.tasks.inputs import facts
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.divided import divide, refuse_several
from pfedmma_dist.federation.attackers import attackers_of
from pfedmma_dist.methods import METHODS

IMAGES = [listed(7), listed(4, train=6)]
WORDS = ["data.names=[folder:one,folder:two]", "data.num_clients=4", "data.shots=3"]


def config(*words: str) -> Config:
    return read([*WORDS, *words], methods=METHODS, sources=SOURCES)


def both(*words: str, cfg: Config | None = None) -> tuple[Task, list[Task]]:
    """Return the task of both sets, and that of each alone."""
    cfg = cfg or config(*words)
    alone = []
    for images in IMAGES:
        own = config(*words)
        own.data.names, own.data.num_clients = None, 2
        alone.append(divide(own, [images]))
    return divide(cfg, IMAGES), alone


@pytest.mark.parametrize("task", ["base_to_novel", "label_shift"])
def test_each_set_is_divided_as_it_would_be_alone(task: str) -> None:
    joint, alone = both(f"data.task={task}")
    row, first = 0, 0
    for set_index, own in enumerate(alone):
        for client in range(own.num_clients):
            whole = first + client
            assert np.array_equal(joint.train.rows(whole) - row, own.train.rows(client))
            for scope in own.scopes:
                found = joint.scope_of(scope.name, whole)
                assert np.array_equal(found.rows_of(whole) - row, scope.rows_of(client))
                names = joint.class_sets[found.class_set].names
                assert names == own.class_sets[scope.class_set].names
                columns = joint.labels(found.class_set, found.rows_of(whole))
                assert np.array_equal(columns, own.labels(scope.class_set, scope.rows_of(client)))
            mine = np.array([whole])
            trained = joint.own_columns(joint.softmax_of(mine), mine)
            kept = own.own_columns(own.train_classes, np.array([client]))
            assert np.array_equal(trained, kept)
            labels = own.labels(own.train_classes, own.train.rows(client))
            assert np.array_equal(joint.trained_columns(joint.train.rows(whole)), labels)
        assert joint.domains[("one", "two")[set_index]].tolist() == [first, first + 1]
        row, first = row + len(own.images), first + own.num_clients


def test_clients_of_two_sets_are_in_different_groups_and_no_scope_is_anothers() -> None:
    joint, _ = both()
    assert [own.tolist() for own in joint.by_set(np.array([3, 0, 2]))] == [[0], [3, 2]]
    with pytest.raises(ValueError):
        joint.softmax_of(np.array([1, 2]))
    [base, other] = [scope for scope in joint.scopes if scope.name == "base"]
    assert base.rows_of(0).size and not base.rows_of(2).size
    assert other.rows_of(3).size and not other.rows_of(1).size


def test_all_trained_classes_are_counted_side_by_side() -> None:
    joint, alone = both()
    sizes = [len(own.class_sets["base"].names) for own in alone]
    assert len(joint.class_sets[joint.train_classes].names) == sum(sizes) == 6
    columns = joint.labels(joint.train_classes, joint.train.members)
    of_first = np.isin(joint.train.owners(), joint.domains["one"])
    assert {*columns[of_first]} == {*range(sizes[0])}
    assert {*columns[~of_first]} == {*range(sizes[0], 6)}


def test_each_set_has_as_many_clients_as_its_base_classes_ask_for() -> None:
    words = ["data.names=[folder:one,folder:two]", "data.base_classes=3", "data.shots=3"]
    joint = divide(read(words, methods=METHODS, sources=SOURCES), IMAGES)
    assert joint.client_classes.sizes().tolist() == [2, 2, 2]  # 4 base classes, and 2
    assert [len(own) for own in joint.domains.values()] == [2, 1]
    with pytest.raises(ValueError, match="num_clients: 2 clients, and data.base_classes=3 says"):
        both("data.base_classes=3")
    with pytest.raises(ValueError, match="data.base_classes: 3, and label_shift has no base class"):
        both("data.base_classes=3", "data.task=label_shift")


def test_attackers_of_each_set_flip_labels_of_its_own() -> None:
    cfg = config()
    cfg.attack = AttackConfig(name=AttackName.label_flip, share=0.5)
    joint, clean = divide(cfg, IMAGES), both()[0]
    bad = attackers_of(cfg, 4)
    assert 0 < len(bad) < 4
    for client in range(4):
        rows = joint.train.rows(client)
        before, after = clean.trained_columns(rows), joint.trained_columns(rows)
        last = len(joint.class_sets[joint.softmax_of(np.array([client]))].names) - 1
        assert np.array_equal(after, last - before if client in bad else before)


def test_another_division_or_place_of_a_set_is_other_data() -> None:
    def told(*words: str, images: list = IMAGES) -> dict:
        task = divide(config(*words), images)
        known = np.zeros((len(task.images), 2), np.int64)
        object.__setattr__(task.images, "content", known)
        return facts(task, np.arange(len(task.images)), by_row=False)

    assert told() == told()
    assert told()["owners"] != told("data.division=balanced", "data.shots=2")["owners"]
    assert told()["images"] != told("data.names=[folder:one,folder:three]")["images"]


@pytest.mark.parametrize(
    "words, told",
    [
        (["data.task=feature_shift"], "data.task: feature_shift deals the domains of one data set"),
        (["method.name=linear_probe"], "method.name: linear_probe has numbers of each class"),
        (["method.name=own_prior"], "2 different sets of classes apart; set one of "),
    ],
)
def test_what_needs_one_data_set_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(ValueError) as error:
        refuse_several(config(*words))
    assert told in str(error.value)
    refuse_several(config("data.names=[folder:one]", "method.name=linear_probe"))
