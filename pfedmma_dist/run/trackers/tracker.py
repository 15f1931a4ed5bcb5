"""What a tracker is to us: it is opened for one run, told numbers and pictures, and closed."""

import fcntl
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Opening:
    """The run that a tracker is opened for."""

    folder: Path  # of the run, absolute
    config: Mapping[str, Any]  # dotted key -> plain value of all that decides the run
    config_text: str  # the YAML

    @property
    def shelf(self) -> Path:
        """Folder that holds the runs one would compare: that of a sweep, or `runs`."""
        return self.folder.parent

    @property
    def project(self) -> str:
        """What trackers file the run under: the name of that folder."""
        return re.sub(r"[^\w.-]+", "_", self.shelf.name) or "runs"


class Tracker(Protocol):
    """A run in a tracker."""

    id: str
    """What the tracker knows the run by; a later start opens it with that."""
    words: str
    """How one looks at it."""

    def __init__(self, opening: Opening, known: str | None) -> None:
        """Open the run of an id; None: it begins."""

    @staticmethod
    def place(opening: Opening) -> str:
        """Return where the tracker would keep the run; an id holds for one place."""

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Add tag -> number."""

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        """Add how values are spread over bins of these edges."""

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture [height, width, 3] uint8."""

    def result(self, numbers: Mapping[str, float]) -> None:
        """Keep what the run reached: tag -> number."""

    def close(self, finished: bool) -> None:
        """Hand over what is left; finished: whether the run is, or goes on another time."""


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Keep the runs of a sweep apart while each opens the store that they share: two that made the
    tables of one data base at a time left it without either's. lock: a file, beside the store."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
