"""Cadence: every how many rounds clients are scored on their own images where nobody says."""

from dataclasses import dataclass

import numpy as np

from pfedmma_dist.federation.classify import rows_of
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.foresight import TRAINED
from pfedmma_dist.federation.grouping import PARTICIPANTS, those_to_score
from pfedmma_dist.federation.released.best_on_test import rule_of

EACH_ROUND = 200
"""Clients up to which every round is scored, whatever that costs."""

SHARE = 0.1
"""Of the image passes of all training, what scores on the way may take beyond."""


@dataclass(frozen=True)
class Cadence:
    """Every how many rounds, and why."""

    every: int
    clients: int  # that are scored in the end
    share: float = 0.0  # of training's image passes that scores of every round would take
    only_last: bool = False

    @property
    def words(self) -> str:
        """Say so where a round goes without scores."""
        if self.every == 1:
            return ""
        when = "in the last round alone" if self.only_last else f"every {self.every} rounds"
        return (
            f"evaluate.every: scores Local {when}, since in each round the scores of "
            f"{self.clients:,} clients would take {100 * self.share:,.0f} % of the image passes "
            f"of training, and {100 * SHARE:g} % are to suffice; evaluate.every=1 scores each"
        )


def cadence(federation: Federation) -> Cadence:
    """Return the fewest rounds between scores whose image passes stay within SHARE of training's.

    A function of configuration and task alone, so the same at any number of ranks and after a
    restart. An image classified is a pass, an image trained on TRAINED; clients that hold the same
    numbers are scored once. The last scores, which every run has, are left out.
    """
    cfg, clients = federation.cfg, those_to_score(federation)
    chooses = rule_of(cfg) != "last"
    if chooses or len(clients) <= EACH_ROUND or not federation.layout.num_trained:
        return Cadence(1, len(clients))
    training, scoring = _passes(federation, clients)
    on_the_way, whole, rounds = scoring[:-1], training.sum(), cfg.federation.rounds
    every = next(
        n for n in range(1, rounds + 1) if on_the_way[n - 1 :: n].sum() <= SHARE * whole
    )  # at n = rounds there are none on the way
    return Cadence(every, len(clients), float(on_the_way.sum() / whole), every == rounds)


def _passes(federation: Federation, clients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image passes [R] of each round's training, and of the scores after it: these from
    above, where many clients that have not trained share some images."""
    cfg, sizes, kinds = federation.cfg, federation.sizes, len(federation.method.dealt)
    examiner = Examiner(federation)
    scopes = [scope for scope in federation.task.scopes if not scope.full and not scope.own_classes]
    everybody = np.arange(federation.task.num_clients)
    of_each = np.sum([scope.apart.sizes(everybody) for scope in scopes], axis=0)
    of_all = len(rows_of(scopes, clients))
    if examiner.tunes:
        of_each = of_each + TRAINED * cfg.evaluate.finetune_epochs * sizes
    asked, known = np.zeros(len(sizes), bool), np.zeros(len(sizes), bool)
    asked[clients] = True
    left = 0 if cfg.evaluate.clients == PARTICIPANTS else int(of_each[clients].sum())
    own, found = 0, []
    plan, each = cfg.federation, 1 if federation.method.counts else TRAINED
    trained = np.minimum(federation.steps * plan.batch_size, plan.local_epochs * sizes)
    for index in range(cfg.federation.rounds):
        chosen = federation.participants(index)
        fresh = chosen[asked[chosen] & ~known[chosen]]
        known[fresh] = True
        own += int(of_each[fresh].sum())
        left = max(left - int(of_each[fresh].sum()), 0)
        if examiner.tunes:
            scored = own + left
        elif federation.uniform:
            scored = min(of_all, own + left)
        else:
            scored = own + min(kinds * of_all, left)  # these hold what every client begins with
        found.append((each * int(trained[chosen].sum()), scored))
    return tuple(np.array(found).T)
