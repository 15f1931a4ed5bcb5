"""Examiner: which clients are scored with which numbers, on which test sets.

Clients that train are scored with their own. Those of `federation.unseen` never train and are
scored as they would join: as downloaded, after a few local epochs in which the shared part rests,
and after as many in which all of it trains. What they learn there is not kept.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.cohort import batches, steps_per_epoch
from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.federation.counting import count
from pfedmma_dist.federation.evaluate import Scores, score
from pfedmma_dist.federation.evaluate import Start as StartOf
from pfedmma_dist.federation.schedule import Rates
from pfedmma_dist.federation.trainer import LocalTrainer, Pace
from pfedmma_dist.federation.views import first_view
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.quantities.scores import LOCAL, UNSEEN

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


class SharedRests(Correction):
    """Let the shared part rest."""

    def __init__(self, layout: Layout) -> None:
        self.is_private = ~layout.spread("shared").bool()

    def moving(self, step: int, start: Start) -> Tensor:
        """Return the private part."""
        return self.is_private.to(start.theta.device).expand_as(start.theta)


class Examiner:
    """Scores the clients of a federation."""

    def __init__(self, federation: "Federation") -> None:
        self.federation = federation

    @property
    def scope_names(self) -> list[str]:
        """Return what clients are scored on, the unseen ones' behind those of own images."""
        names = [scope.name for scope in self.federation.task.scopes]
        if not len(self.federation.unseen):
            return names
        own = [scope.name for scope in self.federation.task.scopes if not scope.full]
        return [*own, *UNSEEN, *(name for name in names if name not in own)]

    def exam(self, full: bool, stop: Callable[[], bool]) -> Scores:
        """Score every client: on its own images, if `full` on all test sets. Collective."""
        federation, layout = self.federation, self.federation.layout
        uniform = federation.exchange.uniform and layout.num_private == 0

        def downloaded(clients: np.ndarray) -> tuple[Tensor, Any]:
            return federation.start(clients, training=False)

        found = self._score(federation.method, downloaded, uniform, full, stop)
        if not full or not len(federation.unseen):
            return found
        unseen = self._unseen(federation.method, downloaded, uniform, UNSEEN[0])
        private = all_of_it = unseen
        if layout.num_private:
            private = self._unseen(federation.method, self._tuned(rest=True), False, UNSEEN[1])
        if layout.num_trained:
            all_of_it = self._unseen(federation.method, self._tuned(rest=False), False, UNSEEN[2])
        return self._joined(found, unseen, private, all_of_it)

    def reference(self, method: Method) -> Scores:
        """Score a method that trains nothing on every test set. Collective."""

        def nothing(clients: np.ndarray) -> tuple[Tensor, Any]:
            return torch.zeros(len(clients), 0), None

        found = self._score(method, nothing, True, True, lambda: False)
        if not len(self.federation.unseen):
            return found
        unseen = self._unseen(method, nothing, True, UNSEEN[0])
        return self._joined(found, unseen, unseen, unseen)

    def _joined(self, found: Scores, *unseen: Scores) -> Scores:
        """Return one record of all, its scopes in order."""
        percent = dict(found.percent)
        percent |= {
            name: scores.percent[next(iter(scores.percent))]
            for name, scores in zip(UNSEEN, unseen, strict=True)
        }
        others = list({id(one): one for one in unseen}.values())
        return Scores(
            percent={name: percent[name] for name in self.scope_names},
            num_images=found.num_images + sum(one.num_images for one in others),
            seconds=found.seconds + sum(one.seconds for one in others),
            stop=found.stop,
        )

    def _unseen(self, method: Method, start: StartOf, uniform: bool, name: str) -> Scores:
        """Score the clients that never train on their own images."""
        federation = self.federation
        [local] = [scope for scope in federation.task.scopes if scope.name == LOCAL]
        return score(
            method,
            Layout(method.specs),
            start,
            federation.cohorts(federation.unseen),
            uniform,
            federation.task,
            [replace(local, name=name)],
            federation.texts,
            federation.sources.test,
            federation.cfg.evaluate.batch_size,
            federation.world,
        )

    def _score(
        self, method: Method, start: StartOf, uniform: bool, full: bool, stop: Callable[[], bool]
    ) -> Scores:
        """Score the clients that train."""
        federation = self.federation
        return score(
            method,
            Layout(method.specs),
            start,
            federation.cohorts(federation.seen),
            uniform,
            federation.task,
            [scope for scope in federation.task.scopes if full or not scope.full],
            federation.texts,
            federation.sources.test,
            federation.cfg.evaluate.batch_size,
            federation.world,
            stop,
        )

    def _tuned(self, *, rest: bool) -> StartOf:
        """Return what gives clients the numbers that local epochs on a download leave them with.

        rest: whether the shared part rests.
        """
        federation, cfg, task = self.federation, self.federation.cfg, self.federation.task
        epochs = cfg.evaluate.unseen_epochs
        plan = replace(cfg.federation, local_epochs=epochs)
        trainer = LocalTrainer(
            federation.method, federation.layout, federation.train_text, federation.sources.train,
            federation.label_of, cfg.optim, [SharedRests(federation.layout)] if rest else [],
        )  # fmt: skip

        def start(clients: np.ndarray) -> tuple[Tensor, Any]:
            theta, extra = federation.start(clients, training=False)
            with torch.no_grad():
                prepared = federation.method.prepare(extra, federation.train_text)
            rows = [task.train.rows(client) for client in clients]
            last = cfg.federation.rounds  # a round of its own
            steps = batches(rows, clients, plan, cfg.seed, last, cfg.data.views)
            memory = theta.new_zeros(len(theta), trainer.num_memory)
            if federation.method.counts:
                nobody, view = np.zeros(len(clients), bool), first_view(cfg.data.views)
                found = count(trainer, theta, memory, prepared, rows, view, nobody, steps)
                return found.theta, extra
            counts = steps_per_epoch(federation.sizes[clients], plan)
            rates = Rates(cfg.optim, 0, cfg.federation.rounds, counts * epochs)
            with torch.enable_grad():
                result = trainer.train(theta, memory, prepared, steps, Pace(rates.at, counts))
            return result.theta, extra

        return start
