"""A run in MLflow. The only file that imports mlflow, and that when a run is opened."""

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.run.trackers.tracker import Opening, one_at_a_time

STORE = "mlflow"
"""Folder beside the runs, of a data base and what does not go into one."""
MOST_PARAMS = 100
"""That MLflow takes at a time."""
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Where the environment says nothing else. MLflow's own 7 tries of 120 s, with pauses that double,
would let a run wait for minutes where its server is gone, and for a quarter of an hour where that
hangs."""
FORBIDDEN = re.compile(r"[^\w.\- :/]")
"""What MLflow takes in no name."""


class MlflowRun:
    """A run in the data base beside the run folders unless MLFLOW_TRACKING_URI says otherwise."""

    def __init__(self, opening: Opening, known: str | None) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.entities import Metric, Param

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table it makes
        self._metric, self._param = Metric, Param
        store = opening.shelf / STORE
        place = self.place(opening)
        is_server = place.startswith(("http://", "https://"))
        self.words = place if is_server else f"mlflow ui --backend-store-uri {place}"
        if place == _own(opening):
            with one_at_a_time(store / ".opening"):
                self._client: Any = mlflow.MlflowClient(tracking_uri=place)
                experiment = self._experiment(opening.project, store / "artifacts")
        else:
            self._client = mlflow.MlflowClient(tracking_uri=place)
            experiment = self._experiment(opening.project, None)
        if known is None:
            run = self._client.create_run(experiment, run_name=opening.folder.name)
            self.id = str(run.info.run_id)
            self._begin(opening)
        else:
            self.id = known
            self._client.update_run(known, status="RUNNING")

    @staticmethod
    def place(opening: Opening) -> str:
        """Return the address of the store that would keep the run."""
        return os.environ.get("MLFLOW_TRACKING_URI", _own(opening))

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Add tag -> number."""
        now = int(time.time() * 1000)
        told = [self._metric(_name(tag), float(x), now, step) for tag, x in numbers.items()]
        self._client.log_batch(self.id, metrics=told)

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        """Add nothing: MLflow has no histograms."""

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture [height, width, 3] uint8 to the artifacts."""
        self._client.log_image(self.id, pixels, artifact_file=f"{_name(tag)}.png")

    def result(self, numbers: Mapping[str, float]) -> None:
        """Keep what the run reached as metrics of a single step."""
        self.scalars(numbers, 0)

    def close(self, finished: bool) -> None:
        """Say how the run ended; one that goes on another time is shown as killed."""
        self._client.set_terminated(self.id, "FINISHED" if finished else "KILLED")

    def _experiment(self, name: str, artifacts: Path | None) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", name)
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = artifacts.as_uri() if artifacts else None
        return str(self._client.create_experiment(name, artifact_location=place))

    def _begin(self, opening: Opening) -> None:
        """Tell the configuration: parameters are written once."""
        told = [self._param(_name(key), str(x)) for key, x in opening.config.items()]
        for first in range(0, len(told), MOST_PARAMS):
            self._client.log_batch(self.id, params=told[first : first + MOST_PARAMS])
        self._client.log_text(self.id, opening.config_text, "config.yaml")


def _own(opening: Opening) -> str:
    return f"sqlite:///{opening.shelf / STORE / 'mlflow.db'}"


def _name(tag: str) -> str:
    """Return a tag as MLflow takes it: what it does not by its number, so that no two are one."""
    return FORBIDDEN.sub(lambda found: f"_{ord(found[0]):x}_", tag)
