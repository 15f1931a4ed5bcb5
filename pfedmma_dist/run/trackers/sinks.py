"""The sinks of a run: TensorBoard, and the trackers that it names, all told the same.

trackers.json, in the run folder, says by which id each tracker knows the run, and how many rounds
it was told. So a later start goes on in the same run of the tracker, and tells it what it lacks.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.run.board import Board
from pfedmma_dist.run.files import write_json
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.labels import printable
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.run.optional import optional
from pfedmma_dist.run.trackers.registry import TRACKERS, tracker_of
from pfedmma_dist.run.trackers.tracker import Opening, Tracker

log = logging.getLogger(__name__)


class Followed:
    """A tracker of one run. The first failure is told, and ends it until the next start."""

    def __init__(
        self,
        name: str,
        folder: RunFolder,
        opening: Opening,
        tags: Mapping[str, str],  # column of metrics.csv -> tag
    ) -> None:
        """Open the tracker, and tell it the rounds of metrics.csv that it lacks."""
        self.name, self.title, self.path = name, TRACKERS[name].title, folder.trackers
        self.place, self.earlier = "", 0  # rounds that it was told by earlier starts
        self._tracker: Tracker | None = None
        with optional(self.title):
            kind, before = tracker_of(name), _read(self.path).get(name, {})
            self.place = kind.place(opening)
            if before and before["place"] != self.place:
                words = "%s: %s holds the rounds so far; %s is told all of them anew"
                log.warning(words, self.title, before["place"], self.place)
                before = {}
            self.earlier = before.get("rounds", 0)
            self._tracker = kind(opening, before.get("id"))
            log.info("%s: %s", self.title, self._tracker.words)
        self._do(lambda tracker: self._catch_up(tracker, folder.metrics, tags))

    def round(self, numbers: Mapping[str, float], step: int) -> None:
        """Tell a round, unless an earlier start has: its bits were the same."""
        if step >= self.earlier:
            self._do(lambda tracker: tracker.scalars(numbers, step))
            self._do(lambda tracker: self._write_down(tracker, step + 1))

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        """Tell how values are spread, unless an earlier start has."""
        if step >= self.earlier:
            self._do(lambda tracker: tracker.histogram(tag, values, step, edges))

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Show a picture."""
        self._do(lambda tracker: tracker.image(tag, pixels, step))

    def result(self, numbers: Mapping[str, float]) -> None:
        """Tell what the run reached."""
        self._do(lambda tracker: tracker.result(numbers))

    def close(self, finished: bool) -> None:
        """Close the tracker; harmless when called twice."""
        self._do(lambda tracker: tracker.close(finished))
        self._tracker = None

    def _catch_up(self, tracker: Tracker, metrics: Path, tags: Mapping[str, str]) -> None:
        table = read_metrics(metrics)
        rounds = table.get("round", np.empty(0)).astype(int).tolist()
        lacking = [(row, step) for row, step in enumerate(rounds) if step >= self.earlier]
        for row, step in lacking:
            found = {tag: float(table[name][row]) for name, tag in tags.items() if name in table}
            tracker.scalars({tag: x for tag, x in found.items() if not np.isnan(x)}, step)
        if lacking:
            log.info("%s: told %d earlier rounds from %s", self.title, len(lacking), metrics)
            self.earlier = rounds[-1] + 1
        self._write_down(tracker, self.earlier)

    def _write_down(self, tracker: Tracker, rounds: int) -> None:
        known = {"id": tracker.id, "place": self.place, "rounds": rounds}
        write_json(self.path, {**_read(self.path), self.name: known})

    def _do(self, deed: Callable[[Tracker], object]) -> None:
        """Do something with the tracker, for the last time where it fails."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            with optional(self.title):
                deed(tracker)
                self._tracker = tracker


class Sinks:
    """All that is told the numbers of a run as they come."""

    def __init__(
        self,
        folder: RunFolder,
        start_round: int,
        config: Mapping[str, Any],
        config_text: str,
        names: Sequence[str],
        tags: Mapping[str, str],
    ) -> None:
        """Open them; names: of trackers, tags: column of metrics.csv -> tag, empty for none."""
        self.board = Board(folder.tensorboard, start_round, config, config_text)
        self.finished = False
        opening = Opening(folder.path.absolute(), config, config_text)
        told = {name: printable(tag) for name, tag in tags.items() if tag}
        self.trackers = [Followed(name, folder, opening, told) for name in names]

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Add tag -> number of a round."""
        self.board.scalars(numbers, step)
        for one in self.trackers:
            one.round({printable(tag): value for tag, value in numbers.items()}, step)

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        """Add how values are spread over bins of these edges."""
        self.board.histogram(tag, values, step, edges)
        for one in self.trackers:
            one.histogram(printable(tag), values, step, edges)

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture [height, width, 3] uint8."""
        self.board.image(tag, pixels, step)
        for one in self.trackers:
            one.image(printable(tag), pixels, step)

    def result(self, numbers: Mapping[str, float]) -> None:
        """Tell trackers what the run reached, TensorBoard having it in its last round."""
        self.finished = True
        for one in self.trackers:
            one.result(numbers)

    def end_session(self) -> None:
        """Say to TensorBoard that the run has finished; trackers hear it when they are closed."""
        self.board.end_session()

    def flush(self) -> None:
        """Write down what was added; trackers do so by themselves."""
        self.board.flush()

    def close(self) -> None:
        """Close them all; harmless when called twice."""
        self.board.close()
        for one in self.trackers:
            one.close(self.finished)


def _read(path: Path) -> dict[str, Any]:
    """Return what trackers.json holds; {} where there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except FileNotFoundError:
        return {}
