"""Grouping: who of the clients is scored, as evaluate.clients asks, and who of them together."""

from typing import TYPE_CHECKING

import numpy as np

from pfedmma_dist.federation.classify import Group
from pfedmma_dist.federation.cohort import longest_first
from pfedmma_dist.quantities.sampled import Sample
from pfedmma_dist.rng import generator

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation

PARTICIPANTS = "participants"


def sample_of(federation: "Federation") -> Sample | None:
    """Return who is scored and on what; None where everybody is, on everything."""
    rule, num_clients = federation.cfg.evaluate.clients, len(federation.seen)
    images: dict[str, tuple[int, int]] = {}
    of_client: dict[str, np.ndarray] = {}
    sampled = {scope.name for scope in federation.task.scopes if scope.num_all is not None}
    for scope in federation.task.scopes:
        if scope.name in sampled:  # of several data sets there is one of each
            count, total = images.get(scope.name, (0, 0))
            own = len(scope.together)
            images[scope.name] = (count + own, total + (scope.num_all or own))
            of_each = of_client.setdefault(scope.name, np.zeros(federation.task.num_clients, int))
            of_each[slice(None) if scope.clients is None else scope.clients] = own
    if _scores_all(federation, num_clients):
        rule = "all"
    if rule == "all" and not images:
        return None
    return Sample(rule, num_clients, images, of_client)


def those_to_score(federation: "Federation") -> np.ndarray:
    """Return the sorted clients, of those that train, that a run's last scores are of."""
    if _scores_all(federation, len(federation.seen)):
        return federation.seen
    if federation.cfg.evaluate.clients == PARTICIPANTS:
        return federation.trained(federation.cfg.federation.rounds)
    return _drawn(federation, federation.seen)


def groups(
    federation: "Federation", clients: np.ndarray, *, uniform: bool, downloaded: bool
) -> list[Group]:
    """Return who of these clients is scored together on this rank: cohorts, and one group of all
    that hold the same numbers.

    uniform: all of them do. downloaded: they are scored as they are; then those do that have not
    trained yet, as they hold what every client begins with that the method deals the same.
    """
    here = _hosted(federation, _drawn(federation, clients))
    if federation.cfg.evaluate.clients == PARTICIPANTS and federation.layout.num_trained:
        never = np.isin(here, federation.unseen)  # those never train, whoever is asked
        here = here[federation.clients.have_trained(here) | never]
    here = _ordered(federation, here)
    trained = federation.clients.have_trained(here)
    if uniform:
        return _alike(federation, here)
    fresh = here[~trained] if downloaded else here[:0]
    dealt = np.array(federation.method.dealt)[fresh % len(federation.method.dealt)]
    alike = [own for d in np.unique(dealt) for own in federation.task.by_set(fresh[dealt == d])]
    alike = [clients for clients in alike if len(clients) > 1]
    alone = here[~np.isin(here, np.concatenate([here[:0], *alike]))]
    cohorts = [cohort.clients for cohort in federation.cohorts(alone)]
    return [*(Group(clients, alike=True) for clients in alike), *map(Group, cohorts)]


def together(federation: "Federation", clients: np.ndarray) -> list[Group]:
    """Return those of these clients to score that are hosted here as one group, or one of each data
    set."""
    return _alike(
        federation, _ordered(federation, _hosted(federation, _drawn(federation, clients)))
    )


def _alike(federation: "Federation", here: np.ndarray) -> list[Group]:
    """Return clients that all hold the same numbers, together where they are scored on the same."""
    return [Group(own, alike=True) for own in federation.task.by_set(here) if len(own)]


def _drawn(federation: "Federation", clients: np.ndarray) -> np.ndarray:
    """Return as many of these clients as evaluate.clients says, drawn once by the seed."""
    rule = federation.cfg.evaluate.clients
    if not rule.isdecimal() or int(rule) >= len(clients):
        return clients
    draw = generator(federation.cfg.seed, "scored clients")
    return np.sort(draw.choice(clients, int(rule), replace=False))


def _scores_all(federation: "Federation", num_clients: int) -> bool:
    """Whether all of so many clients are scored; where nothing is trained, they participate."""
    rule = federation.cfg.evaluate.clients
    if rule == PARTICIPANTS:
        return not federation.layout.num_trained
    return rule == "all" or int(rule) >= num_clients


def _hosted(federation: "Federation", clients: np.ndarray) -> np.ndarray:
    """Return those of these clients that are hosted here."""
    return clients[np.isin(federation.shard_of[clients], federation.hosted)]


def _ordered(federation: "Federation", clients: np.ndarray) -> np.ndarray:
    """Return hosted clients in the order of their cohorts."""
    shards = federation.by_shard(clients, federation.hosted)
    ordered = (longest_first(own, federation.steps) for own in shards)
    return np.concatenate([np.empty(0, np.int64), *ordered])
