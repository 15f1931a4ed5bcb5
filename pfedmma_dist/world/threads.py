"""How this rank computes: its share of the host's cores, and kernels that do not vary."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pfedmma_dist.world.place import tasks_cores
from pfedmma_dist.world.world import World

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
DETERMINISTIC = (":4096:8", ":16:8")
"""Values of it with which torch multiplies deterministically; at others it raises."""


def limit_threads(threads: int | None, world: World) -> int:
    """Set this rank's CPU threads (None: its share of the cores) and return their number.

    Ranks that together ask for more threads than cores spin against each other: measured 12 times
    slower.
    """
    count = threads or _own_cores(world)
    torch.set_num_threads(count)
    return count


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work with a single thread, where how many there are could reach a bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _own_cores(world: World) -> int:
    """Return this rank's share of the cores that it may run on."""
    per_task = tasks_cores(os.environ, world.size)
    if per_task:
        return per_task  # srun may or may not have bound the task to its own cores
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        cores = len(os.sched_getaffinity(0))
    return max(1, cores // world.host_size)


def allow_tf32(allowed: bool) -> None:
    """Say whether float32 products and convolutions on a GPU may keep 10 bits of the 23.

    torch's own default allows it for convolutions, of which the first of the image tower is one.
    """
    precision = "tf32" if allowed else "ieee"
    backends: Any = torch.backends  # whose types know no convolutions
    backends.cuda.matmul.fp32_precision = precision
    backends.cudnn.conv.fp32_precision = precision


def make_deterministic() -> None:
    """Ask torch for kernels whose results do not vary from call to call."""
    chosen = os.environ.setdefault(WORKSPACE, DETERMINISTIC[0])
    if chosen not in DETERMINISTIC and torch.cuda.is_available():
        raise ValueError(
            f"run.deterministic: true, and the environment's {WORKSPACE}={chosen} makes products "
            f"on a GPU vary; unset it, or set it to {' or '.join(DETERMINISTIC)}"
        )
    torch.use_deterministic_algorithms(True)
    deterministic: Any = torch.utils.deterministic  # a module with a property, unknown to its type
    deterministic.fill_uninitialized_memory = False  # a debugging aid that costs time
