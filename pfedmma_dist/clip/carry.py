"""Carry: rows of tables in host memory to the GPU, while it computes on those before them."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 256 << 20
"""Bytes that are gathered in host memory on their way to stay on the GPU."""


def carried(
    tables: Sequence[Tensor],  # [N, *record_shape] each, in host memory
    parts: Sequence[Tensor],  # [n] int64 rows of each step
    device: torch.device,
) -> Iterator[list[Tensor]]:
    """Yield each step's rows of every table on a GPU.

    The host is ahead of the GPU: it gathers a step's rows into pinned memory, of which there are
    two buffers, while the step before is computed, and a stream of its own copies them meanwhile.
    """
    most = max((len(part) for part in parts), default=0)
    buffers = [
        [torch.empty(most, *x.shape[1:], dtype=x.dtype, pin_memory=True) for x in tables]
        for _ in range(2)
    ]
    copying, copied = torch.cuda.Stream(device), [torch.cuda.Event() for _ in buffers]
    for index, part in enumerate(parts):
        which = index % len(buffers)
        copied[which].synchronize()  # the copy of two steps before, long over
        rows = [buffer[: len(part)] for buffer in buffers[which]]
        for table, row in zip(tables, rows, strict=True):
            torch.index_select(table, 0, part, out=row)
        computing = torch.cuda.current_stream(device)
        with torch.cuda.stream(copying):
            found = [row.to(device, non_blocking=True) for row in rows]
            copied[which].record(copying)
        computing.wait_event(copied[which])
        for x in found:
            x.record_stream(computing)  # else its memory could go to the next copy too soon
        yield found


def sent(numbers: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Return numbers of the host, or there already, on a device, without waiting for a GPU to be
    ready for them."""
    found = numbers if isinstance(numbers, Tensor) else torch.from_numpy(numbers)
    if found.device.type == device.type:
        return found
    pinned = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
    return pinned.copy_(found).to(device, non_blocking=True)


def brought(found: Iterable[Sequence[Tensor]]) -> Iterator[list[np.ndarray]]:
    """Yield tensors of a device as arrays, one after another, each while the GPU is at the next."""
    before = None
    for tensors in found:
        leaving = _leaving(tensors)
        if before is not None:
            yield _arrived(*before)
        before = leaving
    if before is not None:
        yield _arrived(*before)


def _leaving(tensors: Sequence[Tensor]) -> tuple[list[Tensor], torch.cuda.Event | None]:
    """Return tensors that are on their way to the host's memory, and the event of their arrival."""
    if all(x.device.type == "cpu" for x in tensors):
        return [*tensors], None
    pinned = [torch.empty(x.shape, dtype=x.dtype, pin_memory=True) for x in tensors]
    for here, there in zip(pinned, tensors, strict=True):
        here.copy_(there, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return pinned, event


def _arrived(tensors: list[Tensor], event: torch.cuda.Event | None) -> list[np.ndarray]:
    if event is not None:
        event.synchronize()
    return [x.numpy() for x in tensors]


def moved(table: Tensor, index: np.ndarray, device: torch.device) -> Tensor:
    """Return these rows of a table in host memory on a device, copied a part at a time."""
    found = torch.empty(len(index), *table.shape[1:], dtype=table.dtype, device=device)
    step = max(1, AT_ONCE // max(1, table[:1].numel() * table.element_size()))
    for start in range(0, len(index), step):
        part = slice(start, start + step)
        found[part] = table[torch.from_numpy(index[part])].to(device)
    return found
