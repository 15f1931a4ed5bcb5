"""Import once what every run needs, so that a forked rank starts at once."""

import importlib
import os
from pathlib import Path

HEAVY = (
    "open_clip", "torch.utils.tensorboard", "matplotlib.backends.backend_agg",
    "tensorboard.backend.event_processing.event_accumulator", "pfedmma_dist.train",
    "pfedmma_dist.evaluate", "launch.sweep", "launch.table", "launch.status", "launch.figures",
)  # fmt: skip


def warm(folder: Path) -> None:
    """Import, and draw a figure: matplotlib looks for its fonts at the first one.

    No arithmetic of torch's: its threads would not survive a fork. folder: for what libraries keep.
    """
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(folder / "matplotlib")}
    os.environ |= {"HOME": str(folder)}  # nothing of the user's is read or written
    for name in HEAVY:
        importlib.import_module(name)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.0, 2.0))
    figure.subplots().set_xlabel("x")
    FigureCanvasAgg(figure).draw()
