"""Running: the keys of where a run lives and what it runs on."""

from dataclasses import dataclass

from pfedmma_dist.config.choices import Tracker
from pfedmma_dist.config.limits import AT_LEAST_1, PATH, Limit
from pfedmma_dist.config.meaning import Role, key

SOME_TRACKERS = Limit(
    lambda x: set(x) <= set(Tracker.__members__) and len(set(x)) == len(x),
    "a list of wandb, mlflow and aim, or of some of them",
    example="[wandb,mlflow]",
)


@dataclass(kw_only=True)
class RunConfig:
    """Where the run lives and what it runs on."""

    folder: str | None = key(None, role=Role.RESOURCE, limit=PATH)
    """Run folder; null means runs/<data>-<method>-<hash of the configuration>."""
    device: str = key(
        "auto",
        role=Role.RESOURCE,
        limit=Limit(lambda x: x in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
    )
    """auto, cpu or cuda; with cuda each rank takes the GPU of its local rank."""
    threads: int | None = key(
        None, role=Role.RESOURCE, is_open=True, limit=Limit(lambda x: 1 <= x <= 1024, "1 to 1024")
    )
    """CPU threads per rank; null shares the cores among the ranks of the host."""
    patience: int = key(7200, role=Role.RESOURCE, limit=AT_LEAST_1, since=1)
    """Seconds that a rank waits for another one before it gives up and names it; ranks may well
    score for long between two meetings."""
    checkpoint_every: int = key(10, role=Role.RESOURCE, limit=AT_LEAST_1)
    """Rounds between checkpoints; one is always made at the end and on a stop signal."""
    keep_checkpoints: int = key(2, role=Role.RESOURCE, limit=Limit(lambda x: x >= 2, "2 or more"))
    """Newest checkpoints kept, at least 2: a damaged one falls back to the one before."""
    pause_after: int | None = key(None, role=Role.RESOURCE, limit=AT_LEAST_1, since=1)
    """Leave once so many rounds are done, scored where that is due and saved, with exit code 75 as
    on a signal; the same command without it goes on to the same bits. launch.tune does so."""
    trackers: list[str] | None = key(None, role=Role.REPORT, since=1, limit=SOME_TRACKERS)
    """Trackers that are told what TensorBoard is, such as [wandb,mlflow]: `wandb` (Weights &
    Biases), `mlflow`, `aim`; null means none. Each is an extra of that name, keeps all on this
    machine unless its own variables say otherwise (docs/trackers.md), and costs a run nothing but a
    warning where it fails."""
    deterministic: bool = key(True, role=Role.BITS)
    """Ask torch for deterministic kernels; needed for equal bits on a GPU, no cost on a CPU."""
    cuda_graphs: bool = key(False, role=Role.RESOURCE, since=1)
    """Record the gradient of a step of fixed shape as a CUDA graph and replay it (docs/gpus.md),
    for steps that a GPU is done with before the host has started all their kernels. Off, as no real
    GPU has recorded one yet. No part of what a run is: the first replay of each shape
    is held to the plain step bit for bit, and another bit ends the run, so none depends on it."""
