from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.config import Division
from pfedmma_dist.data.partition import Partition, deal_classes

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
