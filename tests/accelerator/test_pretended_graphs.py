"""The pretended graphs of CUDA do what real ones do wrong, and refuse what these refuse."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from graphs import Graph, Refused, graphs
from pretend import pretended
from torch import Tensor

DEVICE = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with pretended() as places, graphs(places):
        yield


def warm() -> torch.cuda.Stream:
    """Return a stream on which something has run."""
    side, current = torch.cuda.Stream(DEVICE), torch.cuda.current_stream(DEVICE)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        torch.ones(1, device=DEVICE)
    current.wait_stream(side)
    return side


def record(act: Callable[[], Tensor], pool: object = None) -> tuple[Graph, Tensor]:
    """Return a graph and what it finds."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, stream=warm()):
        found = act()
    return graph, found


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).to(DEVICE)


def test_replay_reads_what_is_in_its_memory_and_not_other_tensors() -> None:
    x = numbers(1, 2)
    graph, found = record(lambda: (x * 3).cumsum(0))
    graph.replay()
    assert found.tolist() == [3, 9]
    y = x
    x = numbers(5, 5)  # a name, that no kernel knows
    graph.replay()
    assert found.tolist() == [3, 9]
    y.copy_(x)
    graph.replay()
    assert found.tolist() == [15, 30]


def test_gradients_are_recorded_and_views_and_changes_in_place() -> None:
    x = numbers(1, 2, 3)

    def slope() -> Tensor:
        leaf = x.detach().requires_grad_()
        total = torch.zeros(2, device=DEVICE)
        total += leaf[1:].square()
        return torch.autograd.grad(total.sum(), leaf)[0]

    graph, found = record(slope)
    x.copy_(numbers(7, 8, 9))
    graph.replay()
    assert found.tolist() == [0, 16, 18]


def test_nothing_is_computed_while_it_records() -> None:
    x = numbers(1, 2)
    _, found = record(lambda: x + 1)
    assert found.isnan().all()


def test_branch_and_number_of_the_host_stay_as_they_were() -> None:
    x, factor, doubles = numbers(1, 2), torch.tensor(10.0), True
    graph, found = record(lambda: x * (factor if doubles else 1.0))
    factor.fill_(20.0)
    doubles = False
    graph.replay()
    assert found.tolist() == [10, 20]


def test_next_replay_writes_where_the_last_one_has() -> None:
    x = numbers(1)
    graph, found = record(lambda: x + 1)
    graph.replay()
    kept, copied = found, found.clone()
    x.fill_(5)
    graph.replay()
    assert (float(kept), float(copied)) == (6, 2)


def test_graph_recorded_later_in_a_pool_loses_its_result_to_one_before_it() -> None:
    x, pool = numbers(1), torch.cuda.graph_pool_handle()
    (first, _), (second, found) = (record(lambda: x + 1, pool) for _ in range(2))
    second.replay()
    assert float(found) == 2
    first.replay()
    assert found.isnan().all()


def test_memory_that_was_given_back_is_not_there_to_be_read() -> None:
    def lost() -> Graph:
        x = numbers(1)
        return record(lambda: x + 1)[0]

    graph = lost()
    with pytest.raises(Refused, match="given back"):
        graph.replay()


def test_stream_on_which_nothing_has_run_is_refused() -> None:
    for stream in (None, torch.cuda.Stream(DEVICE)):
        graph = torch.cuda.CUDAGraph()
        with pytest.raises(Refused, match="libraries"), torch.cuda.graph(graph, stream=stream):
            pass


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x.sum().item(),
        lambda x: x.nonzero(),
        lambda x: x[x > 1],
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: bool((x > 1).any()),
        lambda x: x + torch.from_numpy(np.ones(2, np.float32)).to(DEVICE),
        lambda x: x + torch.empty(2, pin_memory=True).to(DEVICE, non_blocking=True),
        lambda x: x + torch.tensor([1.0, 2.0], device=DEVICE),
        lambda x: x[torch.tensor([0])],
        lambda x: x + torch.ones(2),
        lambda x: torch.cuda.synchronize(),
        lambda x: torch.cuda.Event().synchronize(),
    ],
    ids=[
        "item", "nonzero", "mask", "tolist", "to_host", "branch", "pageable", "pinned", "literal",
        "index_of_host", "tensor_of_host", "synchronize", "event",
    ],
)  # fmt: skip
def test_what_capture_does_not_permit_is_refused(act: Callable[[Tensor], object]) -> None:
    x = numbers(1, 2)
    with pytest.raises(RuntimeError, match="not permitted|two devices"):
        record(lambda: act(x))
