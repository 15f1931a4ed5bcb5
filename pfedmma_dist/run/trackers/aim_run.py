"""A run in Aim. The only file that imports aim, and that when a run is opened."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pfedmma_dist.run.trackers.tracker import Opening, one_at_a_time


class AimRun:
    """A run in the repository `.aim` beside the run folders."""

    def __init__(self, opening: Opening, known: str | None) -> None:
        import aim

        self._aim = aim
        self.words = f"aim up --repo {opening.shelf}"
        with one_at_a_time(opening.shelf / ".aim-opening"):
            self._run: Any = aim.Run(
                run_hash=known,
                repo=self.place(opening),
                experiment=opening.project,
                system_tracking_interval=None,
                log_system_params=False,
                capture_terminal_logs=False,
            )
        self.id = str(self._run.hash)
        self._run.name = opening.folder.name
        self._run["config"] = dict(opening.config)

    @staticmethod
    def place(opening: Opening) -> str:
        """Return the folder of the repository that would keep the run."""
        return str(opening.shelf)

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Add tag -> number."""
        for tag, value in numbers.items():
            self._run.track(float(value), name=tag, step=step)

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        """Add how values are spread over bins of these edges."""
        counts, _ = np.histogram(values, bins=edges)
        spread = self._aim.Distribution(hist=counts, bin_range=(edges[0], edges[-1]))
        self._run.track(spread, name=tag, step=step)

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture [height, width, 3] uint8."""
        self._run.track(self._aim.Image(Image.fromarray(pixels)), name=tag, step=step)

    def result(self, numbers: Mapping[str, float]) -> None:
        """Keep what the run reached beside the configuration."""
        self._run["result"] = dict(numbers)

    def close(self, finished: bool) -> None:
        """Hand over what is left; finished or not, Aim calls a run that was closed finished."""
        self._run.close()
