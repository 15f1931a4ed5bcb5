"""Defects of the pool of experts, as patches of one federation whose clients train one by one.

The published loop has one model, which holds a gate and the experts of whoever used it last, live
from client to client. In a round each visited client trains and is scored. Behind the last all
others are, in the order of their numbers: who has trained twice with its own gate, who has trained
less with what is live, since of its gate nothing was kept.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Download
from pfedmma_dist.exchange.experts import Upload
from pfedmma_dist.federation.cohort import Cohort
from pfedmma_dist.federation.federation import Federation

ORDER = (0, 3, 2, 1)
"""One random order of the recorded clients; of all 24 this one and 3, 0, 2, 1 fit what was
recorded, which hand out the same experts."""

Experts = tuple[Upload, ...]


class Visits:
    """Clients that come one by one to a model that remembers; what it should not is a switch."""

    def __init__(self, federation: Federation) -> None:
        self.federation, self.pool = federation, federation.exchange
        self.num_private = federation.layout.num_private
        self.on: set[str] = set()  # names of defects
        self.first = federation.clients.gather(np.zeros(1, np.int64))[:, : self.num_private]
        self.gate, self.experts = self.first, ()  # live
        self.gates: dict[int, Tensor] = {}  # by client, as its last training left it
        self.held: dict[int, Experts] = {}  # and with which experts that was
        self.sent: dict[int, Upload] = {}
        self.before: Mapping[int, Upload] = {}  # the same, when the round began
        self.times: Counter[int] = Counter()  # trainings
        self.scored: dict[int, tuple[Tensor, Tensor, Experts]] = {}  # with which row
        self._start, self._keep = federation.start, federation._keep
        self._upload, self._sync = self.pool.upload, self.pool.sync
        federation.start, federation._keep = self.start, self.keep
        federation.visits = self.visits
        self.pool.download, self.pool.beside = self.download, self.beside
        self.pool.upload, self.pool.sync = self.upload, self.sync

    def visits(self, index: int) -> list[Cohort]:
        order = self.federation.visited(index)
        return [Cohort(0, order[place : place + 1]) for place in range(len(order))]

    def chosen(self, client: int, known: Mapping[int, Upload]) -> Experts:
        """Return the experts that a client chooses now."""
        others = sorted(known)
        if "nearest" in self.on:
            order = [other for other in ORDER if other in known]
        else:
            rows = torch.stack([known[other].row for other in others])
            places = self.pool._order(client, others, rows)
            order = [others[place] for place in places]
        return tuple(known[other] for other in order if other != client)[: self.pool.num_experts]

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        if not training:
            rows = [self.scored[client] for client in clients.tolist()]
            return Download(torch.stack([row for _, row, _ in rows]), [own for *_, own in rows])
        [client] = clients.tolist()
        if self.times[client]:
            self.experts = self.chosen(client, self.sent if "snapshot" in self.on else self.before)
        elif "stale_experts" not in self.on:
            self.experts = ()
        self.held[client] = self.experts
        return Download(self.pool.shared[None], [self.experts])

    def beside(self, client: int) -> Tensor:
        return torch.full((self.pool.num_experts,), -1)

    def start(self, clients: np.ndarray, *, training: bool) -> tuple[Tensor, Any]:
        theta, extra = self._start(clients, training=training)
        if training:
            [client] = clients.tolist()
            own = self.gates.get(client, self.first)
            if self.times[client] == 1:
                own = self.gate if "gating_leak" in self.on else self.first
            self.times[client] += 1
        else:
            own = torch.cat([self.scored[client][0] for client in clients.tolist()])
        return torch.cat([own, theta[:, self.num_private :]], dim=1), extra

    def keep(self, cohort: Cohort, result: Any, own: Tensor) -> None:
        self.gate = self.gates[int(cohort.clients[0])] = result.theta[:, : self.num_private]
        self._keep(cohort, result, own)

    def upload(self, clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        self._upload(clients, shared, weight)
        self.sent[int(clients[0])] = Upload(shared[0].clone())

    def sync(self, world: Any, riders: Tensor, participants: np.ndarray) -> Tensor:
        found = self._sync(world, riders, participants)
        self.before = dict(self.sent)
        for client in participants.tolist():
            row = self.sent[client].row
            self.scored[client] = self.gates[client], row, self.held[client]
        for client in np.setdiff1d(self.federation.seen, participants).tolist():
            self.scored[client] = self._sat_out(client)
        return found

    def _sat_out(self, client: int) -> tuple[Tensor, Tensor, Experts]:
        """Return what a client that did not train is scored with: gate, prompt, experts."""
        anew = "eval_experts" in self.on
        if not self.times[client]:
            return self.gate, self.pool.shared, self.experts if anew else ()
        if not anew:
            self.experts = self.held[client]
        elif self.times[client] > 1:
            self.experts = self.chosen(client, self.sent)
        gate = self.gates[client] if self.times[client] > 1 else self.first
        return gate, self.sent[client].row, self.experts


def remembering(defect: str) -> Callable[[Federation], None]:
    """Return the patch that lets clients come to one model with this defect, beside others."""

    def patch(federation: Federation) -> None:
        visits = getattr(federation.visits, "__self__", None)
        visits = visits if isinstance(visits, Visits) else Visits(federation)
        visits.on.add(defect)

    return patch
