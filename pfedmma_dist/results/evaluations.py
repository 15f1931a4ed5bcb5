"""Evaluations of runs on other data sets, read from their folders; see cross.py, which writes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.quantities.scores import SCOPE_MEAN
from pfedmma_dist.reading import Unreadable, read_json
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.run.folder import RunFolder

CROSS = "cross"
"""Of the facts of such an evaluation, of the scope of all test images, and the beginning of the
names of those of a domain."""

REFERENCE, OWN, SHARED = 0, 1, 2
"""Rows of an evaluation: zero-shot CLIP, clients' own numbers, the shared part alone."""


@dataclass(frozen=True)
class Evaluation:
    """One run on one data set."""

    path: Path
    facts: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]  # rows, as in result.json
    clients: Mapping[str, Sequence[float | None]]  # scope -> percent of each client

    @property
    def data(self) -> tuple[str, str]:
        """Return name and root of the data set."""
        return self.facts["data"], self.facts["root"]

    @property
    def is_own(self) -> bool:
        """Whether it is that of the run."""
        return self.facts["own"]

    @property
    def domains(self) -> list[str]:
        """Return the names of the domains that were scored apart."""
        return list(self.facts["domains"])

    def mean(self, row: int) -> float | None:
        """Return a row's mean over clients on all images; None: there is no such row."""
        return self._score(row, CROSS)

    def by_domain(self, row: int) -> dict[str, float]:
        """Return the same on the images of each domain."""
        found = {name: self._score(row, f"{CROSS}_{name}") for name in self.domains}
        return {name: value for name, value in found.items() if value is not None}

    def of_clients(self, clients: Sequence[int]) -> dict[str, float]:
        """Return the mean over some clients on the images of each domain; those that were not
        scored count nowhere."""
        found = {}
        for name in self.domains:
            percent = np.array(self.clients[f"{CROSS}_{name}"], float)[list(clients)]
            if not np.isnan(percent).all():
                found[name] = float(np.nanmean(percent))
        return found

    def _score(self, row: int, scope: str) -> float | None:
        if row >= len(self.results):
            return None
        return self.results[row]["scores"].get(SCOPE_MEAN.named(scope).key)


def read_evaluations(run: Outcome) -> tuple[dict[tuple[str, str], Evaluation], list[str]]:
    """Return a run's evaluations on whole data sets, by name and root, and what is odd about them.

    Of several on one set the newest counts.
    """
    found: dict[tuple[str, str], Evaluation] = {}
    told = []
    paths = RunFolder(run.path).evaluations.glob("*.json")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        try:
            body = read_json(path, dict, "score the run again, which writes it anew")
            if CROSS not in body:  # on the run's own clients and classes, or an attack
                continue
            one = Evaluation(path, body[CROSS], body["results"], body["clients"])
            one.by_domain(OWN), one.is_own, one.facts["client_domains"]
        except Unreadable as error:
            told.append(str(error))
            continue
        except (KeyError, TypeError, AttributeError):
            told.append(f"{path} is not as it was written; score the run again")
            continue
        if one.data in found:
            told.append(
                f"{run.path} was scored on {one.data[0]} more than once: {path.name} counts"
            )
        found[one.data] = one
    return found, told


def evaluated(
    runs: Iterable[Outcome],
) -> tuple[dict[Path, dict[tuple[str, str], Evaluation]], list[str]]:
    """Return the evaluations of each run, by its folder, and what is odd about any."""
    known, told = {}, []
    for run in runs:
        known[run.path], words = read_evaluations(run)
        told += words
    return known, told


def is_scored(folder: RunFolder, words: Sequence[str]) -> bool:
    """Whether a finished run was scored on another data set, since it finished, by an evaluation
    with these words."""
    finished = folder.result.stat().st_mtime
    for path in folder.evaluations.glob("*.json"):
        try:
            facts = read_json(path, dict, "").get(CROSS) or {}
        except Unreadable:  # it is written anew
            continue
        if facts.get("words") == [*words] and path.stat().st_mtime >= finished:
            return True
    return False
