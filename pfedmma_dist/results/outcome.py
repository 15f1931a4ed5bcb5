"""What one run is and what it reached, read from its folder; some runs have not finished."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.reading import Unreadable
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.run.result import altered, read

FACTS = {"task": "data.task", "data": "data.name", "seed": "seed", "method": "method.name"}
"""Name in result.json -> key of the configuration, for folders that have lost their config.yaml."""


KNOWN = "the result itself says what is shown"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run."""

    path: Path
    row: str | None = None  # what its sweep calls its line; None: it goes by its method
    config: Mapping[str, Any] = field(default_factory=dict)  # dotted key -> value, where known
    result: Mapping[str, Any] | None = None  # of result.json; None: not finished
    is_reference: bool = False  # the zero-shot scores beside a run, not its own
    problems: tuple[str, ...] = ()  # files that are damaged, and so left out
    has_metrics: bool = True  # metrics.csv is as the run left it
    has_clients: bool = True  # and clients.csv

    @property
    def name(self) -> str:
        """Return what tables call the run's line."""
        return self.row or str(self.config.get("method.name", self.path.name))

    @property
    def task(self) -> str:
        """Return the experiment, empty where it is not known yet."""
        return str(self.config.get("data.task", ""))

    @property
    def data(self) -> tuple[str, str]:
        """Return name and root of the data set."""
        return str(self.config.get("data.name", "")), str(self.config.get("data.root", ""))

    @property
    def final(self) -> Mapping[str, Any]:
        """Return the method's own row of result.json, {} where the run is not finished."""
        return self.result["results"][-1] if self.result else {}

    @property
    def scores(self) -> Mapping[str, float]:
        """Return key of `summary` -> percent; {} where the run is not finished."""
        return self.final.get("scores", {})

    @property
    def is_untrained(self) -> bool:
        """Whether clients did nothing: it is CLIP as it came. What is counted in place of being
        trained has rounds, too."""
        no_rounds = not (self.result or {}).get("rounds")
        return self.is_reference or (self.final.get("trained") == 0 and no_rounds)

    @property
    def reference(self) -> "Outcome | None":
        """Return the zero-shot scores that a run is measured beside, as an outcome of their own."""
        if self.result is None or len(self.result["results"]) < 2:
            return None
        row = self.result["results"][0]
        result = {**self.result, "results": [row]}
        return replace(self, row=row["name"], result=result, is_reference=True)

    def metrics(self) -> dict[str, np.ndarray]:
        """Return every column of metrics.csv, nan where a cell is empty; {} without the file."""
        return read_metrics(RunFolder(self.path).metrics) if self.has_metrics else {}


def read_outcome(
    path: Path, row: str | None = None, point: Mapping[str, Any] | None = None
) -> Outcome:
    """Return the run in a folder, whatever is there of it; what is damaged is named and left out.

    row, point: its line's name in its sweep, and the values of the grid's keys there.
    """
    folder, problems = RunFolder(path), []
    finished, changed, config = None, {}, {}
    try:
        finished = read(folder)
        changed = altered(folder, finished or {})
        problems += [
            f"{file} {what}; " + ("its rounds are left out" if file == folder.metrics else KNOWN)
            for file, what in changed.items()
        ]
        config = _config(folder, finished, point or {}, known=folder.config not in changed)
    except ValueError as error:
        problems.append(str(error))
        config = dict(point or {})
    has_metrics = folder.metrics not in changed
    try:
        if has_metrics:
            read_metrics(folder.metrics)
    except Unreadable as error:
        problems.append(str(error))
        has_metrics = False
    return Outcome(
        path=path, row=row, config=config, result=finished, problems=tuple(problems),
        has_metrics=has_metrics, has_clients=folder.clients not in changed,
    )  # fmt: skip


def _config(
    folder: RunFolder,
    finished: Mapping[str, Any] | None,
    point: Mapping[str, Any],
    *,
    known: bool,  # config.yaml may be believed
) -> dict[str, Any]:
    """Return what is known of the configuration of a run, whose result may say all of it."""
    if finished is not None and "configuration" in finished:
        return {**point, **finished["configuration"]}
    said = finished or {}
    told = {key: said[name] for name, key in FACTS.items() if name in said}
    saved = _flat(read_yaml(folder.config)) if known and folder.config.is_file() else {}
    return {**told, **point, **saved}


def completed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the runs of one sweep; those not started know what all the others agree on.

    Those of the same line are asked first: a line may have a data set of its own.
    """
    runs = list(outcomes)
    started = [run for run in runs if run.task]
    common, waiting = _agreed(started), {run.row for run in runs if not run.task}
    own = {row: _agreed([run for run in started if run.row == row]) for row in waiting}
    return [
        run if run.task else replace(run, config={**common, **own[run.row], **run.config})
        for run in runs
    ]


def _agreed(runs: list[Outcome]) -> dict[str, Any]:
    """Return the keys that have the same value in all of these runs."""
    first = runs[0].config if runs else {}
    return {
        key: value
        for key, value in first.items()
        if all(key in run.config and run.config[key] == value for run in runs)
    }


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found
