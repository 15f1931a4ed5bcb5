"""GPUs: which of this machine's each of several runs at a time is to see."""

import os
from collections.abc import Sequence
from pathlib import Path

DEVICES = ("nvidiactl", "nvmap", "dxg", "kfd")
"""Files in /dev by which a driver is reached: NVIDIA's, a Jetson's, that of WSL, and AMD's."""

NAME = "CUDA_VISIBLE_DEVICES"


def visible() -> list[str]:
    """Return the names of the GPUs that this process may use."""
    if not are_there():
        return []
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(NAME, "").split(",")
    return [name.strip() for name in named if name.strip()][:count] or [*map(str, range(count))]


def are_there() -> bool:
    """Whether torch has a GPU here; where no driver is, it is not asked, as its import takes
    seconds."""
    if not any((Path("/dev") / name).exists() for name in DEVICES):
        return False
    import torch

    return torch.cuda.is_available()


def dealt(gpus: Sequence[str], worker: int, ranks: int) -> dict[str, str]:
    """Return the variables of a worker's runs, of so many ranks each: one GPU for every rank, the
    next worker's after it, and from the first again where there are too few."""
    if not gpus:
        return {}
    places = (gpus[(worker * ranks + rank) % len(gpus)] for rank in range(ranks))
    return {NAME: ",".join(dict.fromkeys(places))}
