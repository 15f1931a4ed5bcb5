import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pfedmma_dist.config.keys import DataConfig, Dealing, Experiment
from pfedmma_dist.data.glyphs.store import GlyphStore
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.partitioners import published
from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.sets.registry import read
from pfedmma_dist.data.tasks.shift import feature_shift, label_shift

NUM_CLASSES, DOMAINS = 4, ("photo", "sketch", "quickdraw")


def listed(train: int = 30, test: int = 12) -> Images:
    """Return images whose rows run through classes, and slower through domains."""
    per_class = np.concatenate([np.arange(train), np.arange(test)])
    labels = np.tile(np.arange(NUM_CLASSES), train + test)
    domains = np.repeat(per_class % len(DOMAINS), NUM_CLASSES)
    rows, cut = np.arange(len(labels)), train * NUM_CLASSES
    names = tuple(f"class {label}" for label in range(NUM_CLASSES))
    store = GlyphStore(0, 0.0, 0.0, 1, 1)  # never opened
    return Images(store, labels, names, rows[:cut], rows[cut:], domains, DOMAINS)


class Backwards(list):
    """The entries of a folder, last first, as a list and as `os.scandir` gives them."""

    def __init__(self, entries: Iterable) -> None:
        super().__init__(reversed(list(entries)))

    def __enter__(self) -> "Backwards":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def config(num_clients: int | None, **changes: object) -> DataConfig:
    return DataConfig(num_clients=num_clients, **changes)


@pytest.mark.parametrize("experiment", [label_shift, feature_shift])
def test_every_row_has_one_owner_whose_rows_ascend(experiment):
    images = listed()
    task = experiment(images, config(6), 1)
    local = task.scopes[0].rows
    assert sorted(task.train.members) == images.train.tolist()
    assert sorted(local.members) == images.test.tolist()
    for client in range(6):
        assert (np.diff(task.train.rows(client)) > 0).all()
        assert (np.diff(local.rows(client)) > 0).all()


@pytest.mark.parametrize("experiment", [label_shift, feature_shift])
def test_clients_are_scored_on_own_and_on_all_rows_among_all_classes(experiment):
    images = listed()
    task = experiment(images, config(6), 1)
    assert [(s.name, s.class_set, s.full) for s in task.scopes] == [
        ("local", "all", False),
        ("own", "all", False),
        ("global", "all", True),
    ]
    assert task.scopes[2].rows_of(5).tolist() == images.test.tolist()
    assert task.class_sets[task.train_classes].names == images.class_names
    assert task.labels("all", np.arange(5)).tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("experiment", [label_shift, feature_shift])
def test_client_classes_are_the_labels_of_its_training_rows(experiment):
    task = experiment(listed(), config(6, beta=0.05), 1)
    for client in range(6):
        labels = np.unique(task.images.labels[task.train.rows(client)])
        assert task.client_classes.rows(client).tolist() == labels.tolist()


def test_label_shift_mixes_domains_and_knows_none():
    task = label_shift(listed(), config(6), 1)
    assert (task.client_domains, task.domain_names, task.domains) == (None, (), {})
    assert len(np.unique(task.images.domains[task.train.rows(0)])) > 1


def test_clients_of_feature_shift_own_rows_of_their_domain_alone():
    task = feature_shift(listed(), config(6), 1)
    assert task.client_domains.tolist() == [0, 0, 1, 1, 2, 2]
    assert {name: own.tolist() for name, own in task.domains.items()} == {
        "photo": [0, 1],
        "sketch": [2, 3],
        "quickdraw": [4, 5],
    }
    for client, domain in enumerate(task.client_domains):
        for rows in (task.train.rows(client), task.scopes[0].rows_of(client)):
            assert (task.images.domains[rows] == domain).all()


def test_domains_are_divided_each_in_its_own_way():
    images = listed(train=300)
    task = feature_shift(images, config(6), 1)
    shares = [np.bincount(images.labels[task.train.rows(client)]) for client in (0, 2, 4)]
    assert len({tuple(counts) for counts in shares}) == 3


@pytest.mark.parametrize("experiment", [label_shift, feature_shift])
def test_division_follows_seed_and_beta_and_no_other_key(experiment):
    images = listed()

    def owned(seed: int = 1, **changes: object) -> list[int]:
        return experiment(images, config(6, **changes), seed).train.members.tolist()

    assert owned(shots=1, template="{}") == owned()
    assert owned(seed=2) != owned()
    assert owned(beta=50.0) != owned()


def test_feature_shift_without_domains_names_the_remedy():
    images = replace(listed(), domains=None, domain_names=())
    with pytest.raises(ValueError, match="data.task: feature_shift needs .*data.task=label_shift"):
        feature_shift(images, config(6), 1)


def test_clients_that_domains_cannot_share_are_refused():
    with pytest.raises(ValueError, match="data.num_clients: 10 .*3 domains .*multiple of 3"):
        feature_shift(listed(), config(10), 1)


def test_more_clients_than_test_images_are_refused():
    with pytest.raises(ValueError, match="data.num_clients: .* 48 readable test images"):
        label_shift(listed(), config(49), 1)
    with pytest.raises(ValueError, match="domain 'photo' of .* 16 readable test images"):
        feature_shift(listed(), config(51), 1)


def with_owners(images: Images, num_owners: int) -> Images:
    """Return the images with owners in turn, all of whom have training and test images."""
    owners = np.arange(len(images)) % num_owners
    return replace(images, owners=owners, owner_names=tuple(f"user {i}" for i in range(num_owners)))


def test_natural_clients_keep_their_images_and_need_not_be_counted():
    images = with_owners(listed(), 7)
    task = label_shift(images, config(None, partition=Dealing.natural), 1)
    assert task.num_clients == 7
    for client in range(7):
        assert (images.owners[task.train.rows(client)] == client).all()
        assert (images.owners[task.scopes[0].rows_of(client)] == client).all()


def test_division_may_have_as_many_clients_as_the_images_come_with():
    task = label_shift(with_owners(listed(), 7), config(None), 1)
    assert task.num_clients == 7


def test_classes_that_nobody_owns_are_in_no_scope():
    task = label_shift(listed(), config(1, partition=Dealing.classes), 1)
    local, _, everybody = task.scopes
    assert len(task.client_classes.rows(0)) == 2
    assert everybody.rows.tolist() == local.rows_of(0).tolist()
    assert set(task.images.labels[everybody.rows]) == set(task.client_classes.rows(0))


def test_one_client_per_domain_without_label_skew_has_the_whole_domain():
    images = listed()
    task = feature_shift(images, config(3, partition=Dealing.iid), 1)
    for domain in range(3):
        rows = images.train[images.domains[images.train] == domain]
        assert task.train.rows(domain).tolist() == rows.tolist()


def test_held_out_domain_has_no_client_and_scores_all_of_them():
    images = listed()
    task = feature_shift(images, config(4, held_out="sketch"), 1)
    sketch = images.domain_names.index("sketch")
    assert task.domain_names == ("photo", "quickdraw")
    assert task.client_domains.tolist() == [0, 0, 1, 1]
    local, _, everybody, held_out = task.scopes
    for rows in (task.train.members, local.rows.members, everybody.rows):
        assert set(images.domains[rows]) == {0, 2}
    assert (held_out.name, held_out.class_set, held_out.full) == ("held_out", "all", True)
    expected = images.test[images.domains[images.test] == sketch]
    assert held_out.rows_of(3).tolist() == expected.tolist()


def test_clients_of_other_domains_do_not_depend_on_what_is_held_out():
    images = listed()
    whole, part = (
        feature_shift(images, config(6), 1),
        feature_shift(images, config(4, held_out="sketch"), 1),
    )
    for domain in ("photo", "quickdraw"):
        for mine, same in zip(whole.domains[domain], part.domains[domain], strict=True):
            assert whole.train.rows(mine).tolist() == part.train.rows(same).tolist()


def test_unknown_domain_names_the_nearest():
    message = "data.held_out: 'skech' is none of .*photo, sketch, quickdraw.*did you mean 'sketch'"
    with pytest.raises(ValueError, match=message):
        feature_shift(listed(), config(4, held_out="skech"), 1)


def test_only_domain_and_domain_without_test_images_cannot_be_held_out():
    images = listed()
    alone = replace(images, domains=np.zeros(len(images), int), domain_names=("photo",))
    with pytest.raises(ValueError, match="data.held_out: 'photo' is the only domain"):
        feature_shift(alone, config(4, held_out="photo"), 1)
    untested = replace(images, test=images.test[images.domains[images.test] != 1])
    with pytest.raises(ValueError, match="data.held_out: domain 'sketch' .*no readable test image"):
        feature_shift(untested, config(4, held_out="sketch"), 1)


def test_label_shift_has_no_domain_to_hold_out():
    with pytest.raises(ValueError, match="data.held_out: .*set data.task=feature_shift"):
        label_shift(listed(), config(4, held_out="sketch"), 1)


def test_compat_divides_labels_as_published():
    images = listed(train=100, test=100)
    task = label_shift(images, config(5, compat=True, beta=1.0), 3)
    rules = Rules(config(5, beta=1.0), 5, 3)
    clients, _ = published.dirichlet(Deck.of(images, images.train, images.test), rules)
    for client in range(5):
        assert task.train.rows(client).tolist() == np.flatnonzero(clients == client).tolist()


def test_compat_divides_domains_by_the_published_draw():
    images = listed(train=300, test=300)
    first, second = (feature_shift(images, config(6, compat=True), seed) for seed in (1, 2))
    assert first.train.members.tolist() == second.train.members.tolist()
    ours = feature_shift(images, config(6), 1)
    assert ours.train.members.tolist() != first.train.members.tolist()


REFUSED = {
    "natural": ({"partition": Dealing.natural}, "by natural; choose .*iid, or data.task=label_s"),
    "compat": (
        {"partition": Dealing.iid, "compat": True},
        "by iid as published; choose one of dirichlet, or data.compat=false",
    ),
}


@pytest.mark.parametrize("changes, message", REFUSED.values(), ids=REFUSED)
def test_partition_that_feature_shift_does_not_know_is_refused(changes, message):
    cfg = config(6, task=Experiment.feature_shift, **changes)
    with pytest.raises(ValueError, match=f"data.partition: feature_shift cannot deal .*{message}"):
        feature_shift(with_owners(listed(), 6), cfg, 1)


def test_task_does_not_depend_on_the_order_in_which_a_folder_is_listed(tmp_path, monkeypatch):
    for part, label, number in product(("train", "test"), "abc", range(8)):
        path = tmp_path / part / label / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def owned() -> list[list[str]]:
        images = read(DataConfig(name="folder", root=str(tmp_path)), 0, tmp_path)
        task = label_shift(images, config(4), 1)
        return [[images.store.name(row) for row in task.train.rows(c)] for c in range(4)]

    expected, scandir, listdir = owned(), os.scandir, os.listdir
    monkeypatch.setattr(os, "scandir", lambda path: Backwards(scandir(path)))
    monkeypatch.setattr(os, "listdir", lambda path: Backwards(listdir(path)))
    assert owned() == expected
