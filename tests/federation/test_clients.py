"""Private rows: kept by client, made at the first scatter."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pfedmma_dist.federation.clients import ClientStore
from pfedmma_dist.federation.rowtable import RowTable

TEMPLATE = torch.tensor([1.0, 2.0])
SHARDS = {0: np.arange(0, 40, 2), 2: np.arange(1, 40, 2)}


def new() -> ClientStore:
    return ClientStore(TEMPLATE, SHARDS, torch.device("cpu"))


def rows(clients: np.ndarray) -> Tensor:
    """Return rows that tell their client."""
    return torch.from_numpy(clients)[:, None].float() * torch.tensor([1.0, -1.0])


def test_unseen_client_starts_from_template() -> None:
    store = new()
    assert store.gather(np.array([5, 8])).tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert len(store) == 0


def test_seen_client_finds_its_row_again() -> None:
    store = new()
    store.scatter(np.array([8, 5]), rows(np.array([8, 5])))
    store.scatter(np.array([8]), torch.tensor([[80.0, 81.0]]))
    assert store.gather(np.array([5, 6, 8])).tolist() == [[5, -5], [1, 2], [80, 81]]
    assert len(store) == 2


def test_store_grows_with_its_clients() -> None:
    store, order = new(), np.random.default_rng(0).permutation(40)
    for client in order:
        store.scatter(np.array([client]), rows(np.array([client])))
    assert torch.equal(store.gather(np.arange(40)), rows(np.arange(40)))
    assert len(store) == 40


def test_what_is_handed_out_is_a_copy() -> None:
    store = new()
    store.scatter(np.array([8]), rows(np.array([8])))
    store.gather(np.array([5, 8])).zero_()
    assert store.gather(np.array([5, 8])).tolist() == [[1, 2], [8, -8]]


def test_what_is_taken_in_is_a_copy() -> None:
    store, given = new(), rows(np.array([8])).requires_grad_()
    store.scatter(np.array([8]), given)
    given.detach().zero_()
    kept = store.gather(np.array([8]))
    assert kept.tolist() == [[8, -8]]
    assert not kept.requires_grad


def test_client_of_another_rank_is_no_client_here() -> None:
    with pytest.raises(KeyError):
        new().gather(np.array([41]))


def test_state_lists_the_trained_clients_of_a_shard_by_number() -> None:
    store, clients = new(), np.array([8, 5, 2])
    store.scatter(clients, rows(clients))
    state = store.state(0)
    assert state["ids"].tolist() == [2, 8]
    assert torch.equal(state["rows"], rows(np.array([2, 8])))
    assert store.state(2)["ids"].tolist() == [5]


def test_state_of_a_shard_does_not_depend_on_the_order_of_training() -> None:
    states = []
    for order in ([2, 8, 4], [4, 2, 8]):
        store = new()
        for client in order:
            store.scatter(np.array([client]), rows(np.array([client])))
        states.append(store.state(0))
    assert torch.equal(states[0]["ids"], states[1]["ids"])
    assert torch.equal(states[0]["rows"], states[1]["rows"])


def test_shard_where_nobody_trained_has_an_empty_state() -> None:
    state = new().state(0)
    assert state["ids"].shape == (0,)
    assert state["rows"].shape == (0, 2)


def test_store_goes_on_from_a_state() -> None:
    first, second = new(), new()
    clients = np.arange(9)
    first.scatter(clients, rows(clients))
    for shard, own in SHARDS.items():
        second.load(shard, first.state(shard), np.intersect1d(own, clients))
    more = np.arange(5, 30)
    for store in (first, second):
        store.scatter(more, 2 * rows(more))
    assert len(second) == 30
    assert torch.equal(second.gather(np.arange(40)), first.gather(np.arange(40)))


def test_loading_forgets_what_was_there() -> None:
    store, empty = new(), new().state(0)
    store.scatter(np.array([8]), rows(np.array([8])))
    store.load(0, empty, np.empty(0, np.int64))
    assert store.gather(np.array([8])).tolist() == [[1.0, 2.0]]
    assert len(store) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"ids": torch.tensor([2, 9])},
        {"ids": torch.tensor([8, 2])},
        {"rows": torch.zeros(2, 2, dtype=torch.float16)},
        {"rows": torch.zeros(2, 3)},
        {"rows": torch.full((2, 2), torch.nan)},
        {"more": torch.zeros(1)},
    ],
    ids=["another client", "order", "dtype", "shape", "not finite", "one more tensor"],
)
def test_state_that_cannot_have_been_saved_is_refused(change: dict[str, torch.Tensor]) -> None:
    store, clients = new(), np.array([2, 8])
    store.scatter(clients, rows(clients))
    with pytest.raises(ValueError, match="shard 0"):
        new().load(0, {**store.state(0), **change}, clients)
    with pytest.raises(ValueError, match="shard 0"):
        new().load(0, {}, clients)


def test_rows_beyond_the_budget_lie_in_a_file_without_a_name(tmp_path: Path) -> None:
    in_memory, clients = new(), np.arange(30)
    in_file = ClientStore(TEMPLATE, SHARDS, torch.device("cpu"), budget=80, folder=tmp_path / "x")
    for step in (clients, clients[::3], clients[5:9]):
        for store in (in_memory, in_file):
            store.scatter(step, len(step) * rows(step))
    assert in_memory._table.file is None
    assert os.fstat(in_file._table.file.fileno()).st_size == 30 * 8
    assert not list((tmp_path / "x").iterdir())
    assert torch.equal(in_file.gather(np.arange(40)), in_memory.gather(np.arange(40)))
    for shard in SHARDS:
        assert torch.equal(in_file.state(shard)["rows"], in_memory.state(shard)["rows"])
        in_file.load(shard, in_file.state(shard), np.array(sorted(in_file.state(shard)["ids"])))
    assert torch.equal(in_file.gather(np.arange(40)), in_memory.gather(np.arange(40)))


def test_folder_that_takes_no_rows_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = ClientStore(TEMPLATE, SHARDS, torch.device("cpu"), budget=8, folder=tmp_path / "file")
    with pytest.raises(ValueError, match=r"federation\.client_memory: .*clip\.cache_folder"):
        store.scatter(np.array([1, 2]), rows(np.array([1, 2])))


def test_memory_follows_the_clients_that_have_trained() -> None:
    table = RowTable(2**18)  # a row is 1 MiB, a block 4
    for place in range(9):
        table.write(place, torch.full((2**18,), float(place)))
    assert table.in_memory == 9 * 2**20
    assert sum(block.numel() for block in table.blocks) == 12 * 2**18
    assert [float(table.read(place)[-1]) for place in range(9)] == list(range(9))


def test_rows_may_be_empty() -> None:
    store = ClientStore(torch.zeros(0), SHARDS, torch.device("cpu"))
    store.scatter(np.array([8, 5]), torch.zeros(2, 0))
    assert store.gather(np.array([8, 1])).shape == (2, 0)
    assert store.state(0)["rows"].shape == (1, 0)
