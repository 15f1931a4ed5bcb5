import numpy as np

from pfedmma_dist.data.partitioners.partition import NOBODY, Partition, by_label


def test_partition_returns_sizes_and_rows_of_clients():
    partition = Partition.of([np.array([4, 9]), np.array([], np.int64), np.array([2])])
    assert partition.num_clients == 3
    assert partition.sizes().tolist() == [2, 0, 1]
    assert partition.sizes(np.array([2, 0])).tolist() == [1, 2]
    assert [partition.rows(client).tolist() for client in range(3)] == [[4, 9], [], [2]]


def test_partition_joins_the_rows_of_many_clients():
    partition = Partition.of(
        [np.array([4, 9]), np.array([], np.int64), np.array([2]), np.arange(3)]
    )
    for clients in ([], [1], [2, 0], [3, 1, 0]):
        joined = [row for client in clients for row in partition.rows(client)]
        assert partition.rows_of_all(np.array(clients, int)).tolist() == joined
    assert partition.owners().tolist() == [0, 0, 2, 3, 3, 3]


def test_partition_without_clients_is_empty():
    partition = Partition.of([])
    assert (partition.num_clients, partition.members.dtype) == (0, np.int64)


def test_group_keeps_the_order_of_a_clients_members():
    partition = Partition.group(np.array([2, 0, 2, 0]), np.array([9, 8, 1, 3]), 4)
    assert [partition.rows(client).tolist() for client in range(4)] == [[8, 3], [], [9, 1], []]


def test_group_leaves_out_what_is_nobodys():
    partition = Partition.group(np.array([1, NOBODY, 0, NOBODY]), np.array([9, 8, 1, 3]), 2)
    assert [partition.rows(client).tolist() for client in range(2)] == [[1], [9]]


def test_places_of_a_label_ascend():
    assert [places.tolist() for places in by_label(np.array([2, 0, 2]), 4)] == [[1], [], [0, 2], []]
