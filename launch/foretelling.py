"""Foretelling: the hours and the room that runs will take, in words, and how that is known."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.estimate import Estimate, Speeds, estimate
from launch.plan import PlannedRun
from pfedmma_dist.quantities.units import duration, size


def foretell(due: Sequence[PlannedRun], folder: Path) -> None:
    """Say how long the runs that are left will take, how much room, and how that is known."""
    if not due:
        return
    print("counting steps of clients ...", file=sys.stderr, flush=True)
    speeds = Speeds()
    found = estimate(due, speeds)
    cores = len(os.sched_getaffinity(0))
    parts = (
        f"training {_hours(found.training)}, scoring {_hours(found.scoring)}, encoding "
        f"{_hours(found.encoding)} of {sum(found.images.values()) + found.fresh:,} images"
    )
    cpu = f"at most about {_hours(found.seconds)} core-hours ({parts})"
    print(f"hours    {cpu}; on {cores} idle cores {duration(found.seconds / cores)}")
    print(
        "         steps as recorded in docs/measured (ViT-B/16, float32), at this machine's "
        f"{speeds.rate / 1e9:.0f} GFLOP/s a core, measured now; encoding by arithmetic"
    )
    print("         on a GPU: no step was measured on one, so nothing is foretold")
    for row, what in found.unknown.items():
        print(f"         not counted: training and scores of {row}; {what}")
    _tell_room(found, Path(due[0].config.clip.cache_folder).expanduser(), folder)


def _tell_room(found: Estimate, cache_folder: Path, folder: Path) -> None:
    parts = (
        ("features", sum(found.features.values()), cache_folder),
        ("checkpoints", found.checkpoints, folder),
    )
    for what, num_bytes, place in parts:
        near = next(path for path in (place, *place.absolute().parents) if path.exists())
        free = shutil.disk_usage(near).free
        short = "; NOT ENOUGH ROOM" if num_bytes > free else ""
        print(f"disk     {what} {size(num_bytes)} in {place}, {size(free)} free there{short}")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}"
