from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfedmma_dist.config import Division
from pfedmma_dist.data.partition import LEAST_TRAIN, Partition, _repair, deal_classes, dirichlet

GOLDEN = Path(__file__).parents[1] / "golden" / "fewshot.npz"


@pytest.mark.parametrize("num_classes", [7, 19, 24, 50, 51, 199])
def test_published_division_equals_the_reference(num_classes):
    with np.load(GOLDEN) as golden:
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
    import random

    random.seed(5)
    expected = random.random()
    random.seed(5)
    deal_classes(50, 10, Division.published)
    assert random.random() == expected


def test_partition_returns_sizes_and_rows_of_clients():
    partition = Partition.of([np.array([4, 9]), np.array([], np.int64), np.array([2])])
    assert partition.num_clients == 3
    assert partition.sizes().tolist() == [2, 0, 1]
    assert partition.sizes(np.array([2, 0])).tolist() == [1, 2]
    assert [partition.rows(client).tolist() for client in range(3)] == [[4, 9], [], [2]]


def test_partition_without_clients_is_empty():
    partition = Partition.of([])
    assert (partition.num_clients, partition.members.dtype) == (0, np.int64)


def test_group_keeps_the_order_of_a_clients_members():
    partition = Partition.group(np.array([2, 0, 2, 0]), np.array([9, 8, 1, 3]), 4)
    assert [partition.rows(client).tolist() for client in range(4)] == [[8, 3], [], [9, 1], []]


@st.composite
def divisions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, float, int]:
    """Draw labels of training and test images, how many clients, the concentration, the seed."""
    num_train, num_test = draw(st.integers(1, 300)), draw(st.integers(1, 90))
    num_clients = draw(st.integers(1, min(num_train, num_test)))
    num_classes, seed = draw(st.integers(1, 12)), draw(st.integers(0, 99))
    labels = np.random.default_rng(seed).integers(0, num_classes, num_train + num_test)
    beta = 10 ** draw(st.floats(-6, 6))
    return labels[:num_train], labels[num_train:], num_clients, beta, seed


@settings(max_examples=150, deadline=None)
@given(divisions())
def test_dirichlet_deals_every_image_once_and_leaves_nobody_short(division):
    train, test, num_clients, beta, seed = division
    train_client, test_client = dirichlet(train, test, num_clients, beta, seed)
    assert (train_client.shape, test_client.shape) == (train.shape, test.shape)
    train_sizes, test_sizes = (
        np.bincount(clients, minlength=num_clients) for clients in (train_client, test_client)
    )
    assert len(train_sizes) == len(test_sizes) == num_clients
    assert train_sizes.min() >= max(1, min(LEAST_TRAIN, len(train) // (2 * num_clients)))
    assert test_sizes.min() >= 1


@pytest.mark.parametrize("beta", [1e-6, 1e-3, 1.0, 1e6])
def test_dirichlet_ends_with_as_many_clients_as_images(beta):
    labels = np.arange(1000) % 3
    for clients in dirichlet(labels, labels, 1000, beta, seed=0):
        assert sorted(clients) == list(range(1000))


def test_dirichlet_follows_seed_and_keys_alone():
    labels = np.arange(400) % 5

    def clients_of(*keys: int, seed: int = 1) -> list[int]:
        return dirichlet(labels, labels, 8, 0.5, seed, *keys)[0].tolist()

    assert clients_of() == clients_of()
    assert len({tuple(drawn) for drawn in (clients_of(), clients_of(seed=2), clients_of(3))}) == 3


def counts(labels: np.ndarray, clients: np.ndarray) -> np.ndarray:
    """Return the images of each client and class [K, C]."""
    table = np.zeros((clients.max() + 1, labels.max() + 1), np.int64)
    np.add.at(table, (clients, labels), 1)
    return table


def test_test_images_follow_the_training_images_to_within_one():
    train, test = np.arange(20_000) % 10, np.arange(4_000) % 10
    owned, tested = map(counts, (train, test), dirichlet(train, test, 20, 0.5, seed=0))
    assert abs(owned / 5 - tested).max() <= 1


def test_small_beta_is_more_skewed_than_a_large_one():
    labels = np.arange(20_000) % 20
    skew = [counts(labels, dirichlet(labels, labels, 20, b, 0)[0]).std() for b in (0.1, 1.0, 1e6)]
    assert skew[0] > 1.5 * skew[1] > 10 * skew[2]
    assert skew[2] <= 1.0  # 50 images of every class for every client


def test_sizes_are_those_of_the_published_division():
    labels, published = np.arange(50_000) % 100, (82.7, 7.6)  # deviations of sizes and of classes
    owned = counts(labels, dirichlet(labels, labels[:10_000], 100, 0.1, seed=0)[0])
    assert 0.7 * published[0] < owned.sum(axis=1).std() < 1.4 * published[0]
    assert 30 < (owned > 0).sum(axis=1).mean() < 34  # 32.9 published


def test_repair_takes_from_the_largest_what_the_poor_already_train_on():
    train = np.array([0] * 40 + [1] * 40)
    train_client = np.repeat([0, 0, 1, 2], [40, 20, 19, 1])  # client 2 has one image of class 1
    _repair(train_client, train, 3, 3, train_client, train)
    owned = counts(train, train_client)
    assert owned.tolist() == [[40, 18], [0, 19], [0, 3]]


def test_nobody_poor_is_left_as_dealt():
    train_client = np.array([0, 0, 1, 1])
    _repair(train_client, np.zeros(4, int), 2, 2, train_client, np.zeros(4, int))
    assert train_client.tolist() == [0, 0, 1, 1]
