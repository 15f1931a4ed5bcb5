"""CUDA graphs of the pretended GPU: kernels are kept with the memory they read, and run again.

As far as torch's Python API tells. While a graph records, `Recorded` sees every kernel on the
device, backward included, and keeps it with places in memory instead of tensors. A replay runs the
kernels on whatever these places hold: what no kernel has brought there is old. What a real capture
refuses is refused: a wait, a copy between host and device, a tensor of the host beyond a single
number, whose value is frozen, and a stream on which nothing has run before. As on a GPU nothing is
computed while it records, and the memory of what is dropped meanwhile is anybody's: it is poisoned
before every replay, as is what later recordings of the same pool have found.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from pretend import CPU, CUDA, Places, Queue, tensors
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

POISON = 255
"""In every byte: nan as a float, -1 as an integer."""


class Refused(RuntimeError):
    """What torch raises under capture."""


class Memory:
    """A storage that kernels of a graph read or write."""

    def __init__(self, x: Tensor, *, is_own: bool) -> None:
        """is_own: whether it was taken while the graph recorded."""
        storage = x.untyped_storage()
        self.weak, self.num_bytes, self.is_own = StorageWeakRef(storage), storage.nbytes(), is_own

    def found(self) -> torch.UntypedStorage | None:
        """Return the storage while somebody has a tensor of it."""
        return torch.UntypedStorage._new_with_weak_ptr(self.weak.cdata)

    def poison(self) -> None:
        """Overwrite it."""
        storage = self.found()
        if storage is not None:
            storage.fill_(POISON)


@dataclass(frozen=True)
class View:
    """A tensor as a kernel knows it."""

    memory: Memory
    dtype: torch.dtype
    form: tuple[int, tuple[int, ...], tuple[int, ...]]  # offset, size, stride


@dataclass(frozen=True)
class Launch:
    """A kernel with its arguments."""

    func: Any
    args: Any
    kwargs: Any
    outs: tuple[View | None, ...]  # of each tensor returned, where memory of its own is filled


class Graph:
    """A torch.cuda.CUDAGraph."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.launches: list[Launch] = []
        self.memories: dict[int, Memory] = {}  # address of a storage -> the last one there
        self.every: list[Memory] = []
        self.later: list[Graph] = []  # recorded after it in the same pool
        self.is_done = False

    def replay(self) -> None:
        """Run the kernels once more."""
        if not self.is_done:
            raise Refused("replay of a graph that has not been recorded")
        for graph in self.later:
            graph.poison()
        self.poison()
        held: dict[int, torch.UntypedStorage] = {}

        def storage(memory: Memory) -> torch.UntypedStorage:
            if id(memory) not in held:
                found = memory.found()
                if found is None and not memory.is_own:
                    raise Refused("a graph reads memory that was given back since it was recorded")
                if found is None:
                    found = torch.UntypedStorage(memory.num_bytes).fill_(POISON)
                held[id(memory)] = found
            return held[id(memory)]

        def here(view: View) -> Tensor:
            return torch.empty(0, dtype=view.dtype).set_(storage(view.memory), *view.form)

        below = torch._C._AutoDispatchBelowAutograd()
        with _disable_current_modes(), torch._C.DisableTorchFunction(), torch.no_grad(), below:
            for launch in self.launches:
                args, kwargs = (mapped(each, View, here) for each in (launch.args, launch.kwargs))
                found = tensors(launch.func(*args, **kwargs))
                for x, view in zip(found, launch.outs, strict=True):
                    if view is not None:
                        here(view).copy_(x)

    def poison(self) -> None:
        """Overwrite what it has found."""
        for memory in self.every:
            if memory.is_own:
                memory.poison()

    def memory(self, x: Tensor, *, is_own: bool) -> Memory:
        """Return the memory of a tensor."""
        address = x.untyped_storage()._cdata
        known = self.memories.get(address)
        if known is None or known.weak.expired():
            known = self.memories[address] = Memory(x, is_own=is_own)
            self.every.append(known)
        return known


class Recorded(TorchDispatchMode):
    """Every kernel on the device while a graph records."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph, self.places = graph, graph.places

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs, places, graph = kwargs or {}, self.places, self.graph
        inputs = tensors((args, kwargs))
        before = {x.untyped_storage()._cdata for x in inputs}
        changed = {
            argument.name for argument in func._schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        }  # fmt: skip
        known = mapped((args, kwargs), Tensor, self._read)
        out = func(*args, **kwargs)
        found = tensors(out)
        on_device = any(places.of(x) == CUDA for x in (*inputs, *found))
        on_device |= not inputs and any(places.placed(x) is None for x in found)  # by torch itself
        is_new = [x.untyped_storage()._cdata not in before for x in found]
        if on_device and (any(is_new) or changed):
            outs = tuple(
                view_of(x, graph.memory(x, is_own=True)) if new else None
                for x, new in zip(found, is_new, strict=True)
            )
            graph.launches.append(Launch(func, *known, outs))
        return out

    def _read(self, x: Tensor) -> View | Tensor:
        """Return what a kernel is told of a tensor: where it is, or the number of the host."""
        memory = self.graph.memory(x, is_own=False)
        frozen = self.places.of(x) == CPU and not x.dim() and not memory.is_own
        return x.clone() if frozen else view_of(x, memory)


def view_of(x: Tensor, memory: Memory) -> View:
    """Return a tensor as a kernel knows it."""
    return View(memory, x.dtype, (x.storage_offset(), tuple(x.shape), x.stride()))


def mapped(nested: Any, kind: type, change: Any) -> Any:
    """Return nested arguments with all of a kind changed."""
    if isinstance(nested, kind):
        return change(nested)
    if isinstance(nested, dict):
        return {name: mapped(each, kind, change) for name, each in nested.items()}
    if isinstance(nested, tuple | list):
        return type(nested)(mapped(each, kind, change) for each in nested)
    return nested


class Side(Queue):
    """A torch.cuda.Stream that knows whether its order with others was asked for."""

    def __init__(self, *device: object) -> None:
        super().__init__(*device)
        self.waited = self.ran = self.left = False

    def wait_stream(self, other: "Side") -> None:
        """Run what comes after all that the other one has been given."""
        self.waited = True
        other.left = False


@contextmanager
def graphs(places: Places) -> Iterator[None]:
    """Let a pretended GPU record graphs."""
    current = Side()

    @contextmanager
    def stream(side: Side) -> Iterator[None]:
        yield
        side.ran, side.left = side.waited, True

    @contextmanager
    def recording(
        graph: Graph, pool: list[Graph] | None = None, stream: Side | None = None
    ) -> Iterator[None]:
        if stream is None or not stream.ran or stream.left:
            raise Refused(
                "nothing has run on this stream that waited for the current one, and was waited "
                "for: libraries would be set up under capture"
            )

        def refuse(what: str = "a copy of the host's memory", *more: object) -> None:
            raise Refused(f"{what}: operation not permitted when stream is capturing")

        with (
            mock.patch.multiple(places, wait=refuse, copied=refuse),
            mock.patch.multiple(Queue, synchronize=refuse),
            mock.patch.multiple(torch.cuda, synchronize=partial(refuse, "a synchronisation")),
            Recorded(graph),
        ):
            yield
        graph.poison()  # nothing was computed
        graph.is_done = True
        for other in pool or ():
            other.later.append(graph)
        if pool is not None:
            pool.append(graph)

    answers = {
        "CUDAGraph": partial(Graph, places),
        "graph": recording,
        "graph_pool_handle": list,
        "Stream": Side,
        "current_stream": lambda *device: current,
        "stream": stream,
    }
    with mock.patch.multiple(torch.cuda, **answers):
        yield
