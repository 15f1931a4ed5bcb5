"""Evaluations of runs on other data sets, written and read back; cross.py makes them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.quantities.elsewhere import CROSS, cross_scope
from pfedmma_dist.quantities.scores import SCOPE_MEAN
from pfedmma_dist.reading import FORMAT, Unreadable, read_json, seal, sealed
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.run import result
from pfedmma_dist.run.files import plain, write_json
from pfedmma_dist.run.folder import RunFolder

REMEDY = "score the run again, which writes it anew"

Set = tuple[str, str]
"""Name and root of a data set."""

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
    def data(self) -> Set:
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
        found = {name: self._score(row, cross_scope(name)) for name in self.domains}
        return {name: value for name, value in found.items() if value is not None}

    def of_clients(self, clients: Sequence[int]) -> dict[str, float]:
        """Return the mean over some clients on the images of each domain; those that were not
        scored count nowhere."""
        found = {}
        for name in self.domains:
            percent = np.array(self.clients[cross_scope(name)], float)[list(clients)]
            if not np.isnan(percent).all():
                found[name] = float(np.nanmean(percent))
        return found

    def _score(self, row: int, scope: str) -> float | None:
        if row >= len(self.results):
            return None
        return self.results[row]["scores"].get(SCOPE_MEAN.named(scope).key)


def write_evaluation(path: Path, run: RunFolder, facts: Mapping[str, Any]) -> None:
    """Write down scores of a run's newest state, and which result of it they stand beside."""
    body = plain({"format": FORMAT, "of": _finished(run), **facts})
    write_json(path, {**body, "sha256": seal(body)})


def read_evaluations(run: Outcome) -> tuple[dict[Set, Evaluation], list[str]]:
    """Return a run's evaluations on whole data sets, by name and root, and what is odd about them.

    Of several on one set the newest counts.
    """
    found: dict[Set, Evaluation] = {}
    folder, told = RunFolder(run.path), []
    paths = folder.evaluations.glob("*.json")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        try:
            body = _read(path, folder)
        except Unreadable as error:
            told.append(str(error))
            continue
        if body is None:
            continue
        one = Evaluation(path, body[CROSS], body["results"], body["clients"])
        if one.data in found:
            words = f"more than once on {one.data[0]}, and {path.name} counts"
            told.append(f"{run.path} was scored {words}")
        found[one.data] = one
    return found, told


def evaluated(
    runs: Iterable[Outcome],
) -> tuple[dict[Path, dict[Set, Evaluation]], list[str]]:
    """Return the evaluations of each run, by its folder, and what is odd about any."""
    known, told = {}, []
    for run in runs:
        known[run.path], words = read_evaluations(run)
        told += words
    return known, told


def is_scored(folder: RunFolder, words: Sequence[str]) -> bool:
    """Whether a run was scored on another data set, as it is now, with these words."""
    for path in folder.evaluations.glob("*.json"):
        try:
            body = _read(path, folder)
        except Unreadable:  # it is written anew
            continue
        if body is not None and body[CROSS]["words"] == [*words]:
            return True
    return False


def _read(path: Path, run: RunFolder) -> dict[str, Any] | None:
    """Return what `write_evaluation` wrote; None for other scores, Unreadable for what is not as it
    was written, or of another state of the run."""
    body = read_json(path, dict, REMEDY)
    if CROSS not in body:  # on the run's own clients and classes, or an attack
        return None
    if "format" not in body:
        raise Unreadable(path, "does not have the sha256 it was written with", REMEDY)
    body = sealed(path, body, REMEDY)
    if body["of"] != _finished(run):
        raise Unreadable(path, "is of another state of the run", REMEDY)
    return body


def _finished(run: RunFolder) -> str:
    """Return a digest of the run's result, or of there being none."""
    return seal(result.read(run) or {})
