"""GPUs: which of this machine's each of several runs at a time is to see."""

import os
from collections.abc import Sequence

NAME = "CUDA_VISIBLE_DEVICES"


def visible() -> list[str]:
    """Return the names of the GPUs that this process may use."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = os.environ.get(NAME, "").split(",")
    return [name.strip() for name in named if name.strip()][:count] or [*map(str, range(count))]


def dealt(gpus: Sequence[str], worker: int, ranks: int) -> dict[str, str]:
    """Return the variables of a worker's runs, of so many ranks each: one GPU for every rank, the
    next worker's after it, and from the first again where there are too few."""
    if not gpus:
        return {}
    places = (gpus[(worker * ranks + rank) % len(gpus)] for rank in range(ranks))
    return {NAME: ",".join(dict.fromkeys(places))}
