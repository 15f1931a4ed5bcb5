"""Seconds and matrix FLOPs of a call, and the rate of a large matrix product."""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from pfedmma_dist.config.choices import Dtype


def seconds(action: Callable[[], object], device: str) -> float:
    """Return the CPU seconds, or the GPU's wall seconds, of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        action()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    action()
    return time.process_time() - start


def gemm_rate(dtype: Dtype, device: str) -> float:
    """Return FLOP per second of a product of the size of a ViT-B MLP on a batch."""
    n, k, m = (6304, 768, 3072) if device == "cpu" else (6304 * 8, 768, 3072)
    a = torch.randn(n, k, device=device).to(getattr(torch, dtype.stored))
    b = torch.randn(k, m, device=device).to(getattr(torch, dtype.stored))
    times = [seconds(lambda: a @ b, device) for _ in range(12)]
    return 2 * n * k * m / min(times[2:])


def flops(action: Callable[[], object]) -> int:
    """Count the matrix FLOPs of one call, after one that warms up."""
    action()
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops()
