"""Clients of two runs side by side: the scores of those of the same number, and who has none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pfedmma_dist.quantities.scores import LOCAL
from pfedmma_dist.reading import Unreadable, read_rows
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import NO_SCOPES

ENDING = "_percent"
"""Of the columns of clients.csv that hold scores."""

REMEDY = "restore it from a copy"


@dataclass(frozen=True)
class Clients:
    """The clients of one run."""

    scores: Mapping[str, Mapping[int, float | None]]  # scope -> client -> percent; None: no images
    facts: Mapping[int, tuple[str, ...]]  # client -> domain, training images, classes


def read_clients(run: Outcome) -> Clients:
    """Return the clients of a finished run; Unreadable where its clients.csv is not to be had."""
    path = RunFolder(run.path).clients
    if not run.has_clients:
        raise Unreadable(path, "is not as the run left it", REMEDY)
    try:
        rows = read_rows(path, ("client",), REMEDY)
    except FileNotFoundError as error:
        raise Unreadable(path, "is missing", REMEDY) from error
    try:
        numbers = [int(row["client"]) for row in rows]
        scores = {
            name.removesuffix(ENDING): {
                client: float(row[name]) if row[name] else None
                for client, row in zip(numbers, rows, strict=True)
            }
            for name in (rows[0] if rows else ())
            if name.endswith(ENDING)
        }
    except ValueError as error:
        raise Unreadable(path, f"holds something else than numbers ({error})", REMEDY) from error
    if not scores or len(set(numbers)) < len(numbers):
        words = "names a client twice" if scores else "holds no scores"
        raise Unreadable(path, words, REMEDY)
    facts = [tuple(row.get(name, "") for name in NO_SCOPES[1:]) for row in rows]
    return Clients(scores, dict(zip(numbers, facts, strict=True)))


def ascending_local(runs: Iterable[Outcome]) -> np.ndarray:
    """Return Local of all clients of finished runs [n] percent, the lowest first; Unreadable where
    a clients.csv is not to be had."""
    finished = [run for run in runs if run.result is not None]
    found = [read_clients(run).scores.get(LOCAL, {}).values() for run in finished]
    return np.sort([score for scores in found for score in scores if score is not None])


def side_by_side(
    one: Clients, other: Clients, scope: str
) -> tuple[list[tuple[float, float]], dict[str, int]]:
    """Return the scores of the clients that both have, and how many of the others there are."""
    here, there = one.scores.get(scope, {}), other.scores.get(scope, {})
    found = []
    left = {"of one run alone": 0, "scored in one run alone": 0, "scored in neither run": 0}
    for client in sorted({*here, *there}):
        ours, theirs = here.get(client), there.get(client)
        if client not in here or client not in there:
            left["of one run alone"] += 1
        elif ours is not None and theirs is not None:
            found.append((ours, theirs))
        elif ours is theirs is None:
            left["scored in neither run"] += 1
        else:
            left["scored in one run alone"] += 1
    return found, {what: num for what, num in left.items() if num}


def strangers(one: Clients, other: Clients) -> int:
    """Return how many clients of the same number have another domain, or other images or classes.

    These are other clients, or have been given less to train on.
    """
    return sum(
        one.facts[client] != other.facts[client] for client in one.facts.keys() & other.facts
    )
