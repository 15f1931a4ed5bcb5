"""Running: the keys of where a run lives and what it runs on."""

from dataclasses import dataclass

from pfedmma_dist.config.limits import AT_LEAST_1, PATH, Limit
from pfedmma_dist.config.meaning import Role, key


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
    deterministic: bool = key(True, role=Role.BITS)
    """Ask torch for deterministic kernels; needed for equal bits on a GPU, no cost on a CPU."""
