"""A pretended GPU: numbers stay on the CPU, every tensor says where it would be, waits are counted.

`Moves` answers `.device` and turns `.to`, `.cpu` and `device=` into copies. `Kernels` sees what
runs below autograd, backward included: it hands the place on from inputs to outputs, and raises
where tensors of both places meet, as torch does. Kernels themselves, memory and NCCL stay unseen.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
TAKES_INDEX = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
COPIES = {"copy_", "_copy_from"}
SYNCHRONOUS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim"}
"""What waits for the device to know a number, or how many there are."""
FROM_HOST = {torch.tensor, torch.as_tensor, torch.from_numpy, torch.frombuffer}
"""What copies numbers of the host to wherever a tensor is asked for."""
REAL_DEVICE = torch._C.TensorBase.device.__get__


class Mixed(RuntimeError):
    """Tensors of two places meet."""


class Places:
    """Where each storage pretends to be, and what has made the host wait so far."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[StorageWeakRef, torch.device]] = {}
        self.asked: torch.device | None = None  # of a factory under way
        self.pinned: set[int] = set()
        self.drifting: set[int] = set()  # made inside a formula of torch, for whatever it meets
        self.waits: Counter[str] = Counter()  # what waited, and where in the package
        self.copies: Counter[str] = Counter()  # those that no host waits for
        self.moves: Counter[str] = Counter()  # lines that brought something to the other place
        self.taken: Counter[str] = Counter()  # single numbers of the host, which torch takes

    def of(self, x: Tensor) -> torch.device:
        """Return the place; what nobody has placed was made beside torch, by numpy say."""
        return self.placed(x) or CPU

    def placed(self, x: Tensor) -> torch.device | None:
        """Return the place, None where the storage has none yet."""
        key = x.untyped_storage()._cdata
        alive, place = self.found.get(key, (None, None))
        if alive is not None and alive.expired():
            del self.found[key]
            return None
        return place

    def put(self, x: Tensor, place: torch.device) -> Tensor:
        """Say where a storage is."""
        key = x.untyped_storage()._cdata
        self.found[key] = StorageWeakRef(x.untyped_storage()), place
        self.pinned.discard(key)
        self.drifting.discard(key)
        return x

    def put_new(self, out: Any, place: torch.device) -> None:
        """Say where those storages of a result are that are new."""
        for x in tensors(out):
            if self.placed(x) is None:
                self.put(x, place)

    def wait(self, what: str) -> None:
        """Count that the host waits for the device."""
        self.waits[f"{what} at {site()}"] += 1

    def copied(self) -> None:
        """Count a copy that no host waits for."""
        self.copies[site()] += 1


class Kernels(TorchDispatchMode):
    """Every kernel: where its inputs are, and so its outputs."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs, places, name = kwargs or {}, self.places, func.overloadpacket.__name__
        inputs = tensors((args, kwargs))
        where = list(map(places.of, inputs))
        on_gpu = CUDA in where
        if on_gpu and CPU in where:
            for x in inputs:
                if x.dim() and x.untyped_storage()._cdata in places.drifting:
                    places.put(x, CUDA)
            where = list(map(places.of, inputs))
        on_host = [x for x, place in zip(inputs, where, strict=True) if place == CPU]
        wide = [x for x in on_host if x.dim() > 0]
        if on_gpu and len(wide) < len(on_host):
            places.taken[f"a number of the host at {site()}"] += 1
        place = CUDA if on_gpu else CPU if inputs else places.asked
        if on_gpu and name in SYNCHRONOUS:
            places.wait(name)
        if name in TAKES_INDEX and on_gpu:
            place, wide = self._index(name, args, wide)
        elif name in COPIES and on_gpu and wide:
            place = places.of(args[0])
            awaited = not any([*args[2:], kwargs.get("non_blocking")])
            if not awaited and any(x.untyped_storage()._cdata in places.pinned for x in wide):
                places.copied()
            else:
                places.wait(f"{name} to {place.type}")
            wide = []
        if on_gpu and wide:
            told = [(tuple(x.shape), str(places.of(x))) for x in inputs]
            raise Mixed(f"{func} of tensors on two devices, {told}, at {site()}")
        out = func(*args, **kwargs)
        if place is None:
            places.drifting.update(x.untyped_storage()._cdata for x in tensors(out))
        else:
            places.put_new(out, place)
        return out

    def _index(
        self, name: str, args: tuple, wide: list[Tensor]
    ) -> tuple[torch.device, list[Tensor]]:
        """Return where an indexed tensor is, and what may not be elsewhere than it."""
        places, base = self.places, args[0]
        indices = tensors(args[1])
        place = places.of(base)
        if place == CPU:  # an index on the GPU raises
            return place, [base]
        if any(places.of(x) == CPU for x in indices):
            places.wait("an index of the host")
        if name == "index" and any(x.dtype == torch.bool for x in indices):
            places.wait("a mask as an index")
        return place, [x for x in wide if not any(x is y for y in indices)]


class Moves(TorchFunctionMode):
    """What asks for a device: copies, and tensors that are made on one."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs, places = dict(kwargs or {}), self.places
        if func in (Tensor.numpy, Tensor.__array__) and places.of(args[0]) == CUDA:
            raise Mixed(f"numpy cannot see a tensor on cuda:0, at {site()}")
        if func is Tensor.tolist and places.of(args[0]) == CUDA:
            places.wait("tolist")
            return self._quietly(args[0].tolist)
        if func is F.one_hot:  # on a GPU it looks at no number
            with mock.patch.object(places, "wait"):
                return func(*args, **kwargs)
        if func in (Tensor.to, Tensor.cpu, Tensor.cuda):
            return self._moved(func, args[0], [*args[1:]], kwargs)
        asked = kwargs.get("device")
        if func is torch.empty and kwargs.pop("pin_memory", False):
            own = func(*args, **kwargs)
            places.pinned.add(places.put(own, CPU).untyped_storage()._cdata)
            return own
        is_new = not tensors((args, kwargs))
        if (asked is None and not is_new) or str(asked) == "meta":
            return func(*args, **kwargs)
        place, before = torch.device(asked or CPU), places.asked
        places.asked = CUDA if place.type == "cuda" else CPU
        if places.asked == CUDA and func in FROM_HOST:
            places.wait(func.__name__)
        if asked is not None:
            kwargs["device"] = CPU
        try:
            out = func(*args, **kwargs)
            like = next((x for x in args if isinstance(x, Tensor)), None)
            if isinstance(out, Tensor) and (like is None or places.of(like) != places.asked):
                places.put(out, places.asked)
                if (CPU if like is None else places.of(like)) != places.asked:
                    places.moves[site()] += 1
        finally:
            places.asked = before
        return out

    def _moved(self, func: Any, x: Tensor, rest: list[Any], kwargs: dict[str, Any]) -> Tensor:
        """Return the tensor where, and as what type, it is wanted."""
        places = self.places
        now = wanted = places.of(x)
        if func is Tensor.to:
            if rest and isinstance(rest[0], Tensor):
                other = rest.pop(0)
                wanted = places.of(other)
                kwargs.setdefault("dtype", other.dtype)
            elif rest and (rest[0] is None or isinstance(rest[0], torch.device | str | int)):
                kwargs["device"] = rest.pop(0)
            named = kwargs.pop("device", None)
            rest = [] if rest[:1] == [None] else rest  # no type either, as modules say it
            wanted = wanted if named is None else torch.device(named)
        else:
            rest, kwargs = [], {}
            wanted = CPU if func is Tensor.cpu else CUDA
        if wanted.type == now.type:
            out = x.to(*rest, **kwargs) if rest or kwargs else x
            places.put_new(out, now)
            return out
        places.moves[site()] += 1
        pinned = x.untyped_storage()._cdata in places.pinned
        if wanted.type == "cuda" and kwargs.get("non_blocking") and pinned:
            places.copied()
        else:
            places.wait(f"a copy to {wanted.type}")
        dtype = kwargs.get("dtype") or next((y for y in rest if isinstance(y, torch.dtype)), None)
        # one differentiable copy, of a storage of its own
        out = self._quietly(lambda: x.clone() if dtype in (None, x.dtype) else x.to(dtype))
        return places.put(out, CUDA if wanted.type == "cuda" else CPU)

    @staticmethod
    def _quietly(action: Callable[[], Any]) -> Any:
        with torch._C.DisableTorchFunction():
            return action()


class Queue:
    """A torch.cuda.Event or Stream of a device on which everything is done at once."""

    def __init__(self, *device: object) -> None:
        """Take whatever torch takes."""

    def record(self, *stream: object) -> None:
        """Do nothing."""

    def synchronize(self) -> None:
        """Do nothing."""

    def wait_event(self, event: object) -> None:
        """Do nothing."""


@contextmanager
def pretended(free: int = 100 << 30) -> Iterator[Places]:
    """Yield a machine with one GPU of so many free bytes, as far as torch's Python API tells."""
    places = Places()
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "set_device": lambda device: None,
        "synchronize": lambda *device: None,
        "mem_get_info": lambda *device: (free, free),
        "max_memory_allocated": lambda *device: 0,
        "get_device_name": lambda *device: "pretended",
        "Event": Queue,
        "Stream": Queue,
        "current_stream": Queue,
        "stream": nullcontext,
    }
    with mock.patch.multiple(torch.cuda, **answers), Kernels(places), Moves(places):
        Tensor.device = property(lambda x: places.placed(x) or REAL_DEVICE(x))
        Tensor.is_cuda = property(lambda x: places.of(x) == CUDA)
        Tensor.record_stream = lambda x, stream: None
        try:
            yield places
        finally:
            del Tensor.device, Tensor.is_cuda, Tensor.record_stream


def tensors(nested: Any) -> list[Tensor]:
    """Return the tensors among arguments or results; torch's own way takes a third of a test."""
    if isinstance(nested, Tensor):
        return [nested]
    if isinstance(nested, dict):
        nested = nested.values()
    elif not isinstance(nested, tuple | list):
        return []
    return [x for item in nested for x in tensors(item)]


def site() -> str:
    """Return the innermost line of the package that is under way."""
    frame = sys._getframe(1)
    while frame is not None:
        _, inside, file = frame.f_code.co_filename.partition("/pfedmma_dist/")
        if inside:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "a line outside the package"
