"""A run in Weights & Biases. The only file that imports wandb, and that when a run is opened."""

import os
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from pfedmma_dist.run.trackers.tracker import Opening

OFFLINE = "offline"
FINISH_SECONDS = 120.0
"""To upload what is left when a run ends; the rest stays in its folder for `wandb sync`."""


class WandbRun:
    """A run that is kept below the run folder unless WANDB_MODE says otherwise."""

    def __init__(self, opening: Opening, known: str | None) -> None:
        mode = _mode()
        if mode == OFFLINE:
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._wandb = wandb
        self.id = known or uuid.uuid4().hex[:8]
        self._run: Any = wandb.init(
            project=_project(opening),
            mode=mode,
            name=opening.folder.name,
            id=self.id,
            resume=None if mode == OFFLINE else "allow",
            dir=os.environ.get("WANDB_DIR", str(opening.folder)),
            config=dict(opening.config),
            reinit="create_new",  # a notebook may have several, and some of its own
            settings=wandb.Settings(
                console="off", silent=True, save_code=False, disable_git=True,
                x_disable_stats=True, finish_timeout=FINISH_SECONDS,
            ),
        )  # fmt: skip
        where = self._run.settings.sync_dir
        self.words = f"wandb sync {where}" if mode == OFFLINE else str(self._run.url)

    @staticmethod
    def place(opening: Opening) -> str:
        """Return how and under which project wandb would keep the run."""
        return f"{_mode()}: {_project(opening)}"

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Add tag -> number."""
        self._run.log(dict(numbers), step=step)

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        """Add how values are spread over bins of these edges."""
        spread = np.histogram(values, bins=edges)
        self._run.log({tag: self._wandb.Histogram(np_histogram=spread)}, step=step)

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture [height, width, 3] uint8."""
        self._run.log({tag: self._wandb.Image(pixels)}, step=step)

    def result(self, numbers: Mapping[str, float]) -> None:
        """Keep what the run reached in the summary."""
        self._run.summary.update(dict(numbers))

    def close(self, finished: bool) -> None:
        """Hand over what is left; a run that goes on another time is shown as preempted."""
        if not finished:
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if finished else 1)


def _mode() -> Any:
    """Return online, offline or disabled."""
    return os.environ.get("WANDB_MODE", OFFLINE)


def _project(opening: Opening) -> str:
    return os.environ.get("WANDB_PROJECT", opening.project)
