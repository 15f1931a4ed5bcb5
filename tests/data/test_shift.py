from dataclasses import replace

import numpy as np
import pytest

from pfedmma_dist.config import DataConfig
from pfedmma_dist.data.glyph_images import GlyphStore
from pfedmma_dist.data.images import Images
from pfedmma_dist.data.shift import feature_shift, label_shift

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


def config(num_clients: int, **changes: object) -> DataConfig:
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
        ("global", "all", True),
    ]
    assert task.scopes[1].rows_of(5).tolist() == images.test.tolist()
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
