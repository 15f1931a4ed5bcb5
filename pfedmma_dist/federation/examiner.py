"""Examiner: which clients are scored with which numbers, on which test sets.

Clients that train are scored with their own, if `evaluate.finetune_epochs` says so after some more
local epochs. Those of `federation.unseen` never train and are scored as they would join: as
downloaded, after a few local epochs in which the shared part rests, and after as many in which all
of it trains. What is learned there is not kept.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.config.choices import Part
from pfedmma_dist.config.keys import EvaluateConfig
from pfedmma_dist.federation.corrections.resting import SharedRests
from pfedmma_dist.federation.epochs import train_epochs
from pfedmma_dist.federation.evaluate import Scores, Start, score
from pfedmma_dist.federation.trainer import check_finite
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.quantities.scores import LOCAL, UNSEEN

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def check_finetuning(cfg: EvaluateConfig, layout: Layout) -> None:
    """Refuse to finetune a private part where there is none."""
    rests = cfg.finetune_epochs and cfg.finetune is Part.private
    if rests and layout.num_trained and not layout.num_private:
        raise ValueError(
            "evaluate.finetune: private, and this method keeps no part private; set "
            "evaluate.finetune=all"
        )


class Examiner:
    """Scores the clients of a federation."""

    def __init__(self, federation: "Federation") -> None:
        self.federation = federation

    @property
    def scope_names(self) -> list[str]:
        """Return what clients are scored on, the unseen ones' behind those of own images."""
        names = [scope.name for scope in self.federation.task.scopes]
        if not self._has_unseen:
            return names
        own = [scope.name for scope in self.federation.task.scopes if not scope.full]
        return [*own, *UNSEEN, *(name for name in names if name not in own)]

    @property
    def _has_unseen(self) -> bool:
        return len(self.federation.unseen) > 0

    def exam(self, full: bool, stop: Callable[[], bool]) -> Scores:
        """Score every client: on its own images, if `full` on all test sets. Collective."""
        uniform = self.federation.uniform and not self.tunes
        found = self._score(self.federation.method, self.start, uniform, full, stop)
        return self._joined(found, *self._exam_unseen()) if full and self._has_unseen else found

    @property
    def tunes(self) -> bool:
        """Whether clients that train are scored after local epochs more, which read training
        images."""
        federation = self.federation
        return bool(federation.cfg.evaluate.finetune_epochs and federation.layout.num_trained)

    @property
    def start(self) -> Start:
        """Return what gives clients that train the numbers that they are scored with."""
        due = self.federation.cfg.evaluate
        if not self.tunes:
            return self._downloaded
        return self._tuned(due.finetune_epochs, rest=due.finetune is Part.private)

    def _exam_unseen(self) -> tuple[Scores, Scores, Scores]:
        """Score the clients that never train: as downloaded, and after epochs of a part and all."""
        federation, layout = self.federation, self.federation.layout
        epochs = federation.cfg.evaluate.unseen_epochs
        unseen = self._unseen(federation.method, self._downloaded, federation.uniform, UNSEEN[0])
        private = all_of_it = unseen
        if layout.num_private:
            start = self._tuned(epochs, rest=True)
            private = self._unseen(federation.method, start, False, UNSEEN[1])
        if layout.num_trained:
            start = self._tuned(epochs, rest=False)
            all_of_it = self._unseen(federation.method, start, False, UNSEEN[2])
        return unseen, private, all_of_it

    def reference(self, method: Method) -> Scores:
        """Score a method that trains nothing on every test set. Collective."""

        def nothing(clients: np.ndarray) -> tuple[Tensor, Any]:
            return torch.zeros(len(clients), 0), None

        found = self._score(method, nothing, True, True, lambda: False)
        if not self._has_unseen:
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

    def _unseen(self, method: Method, start: Start, uniform: bool, name: str) -> Scores:
        """Score the clients that never train on their own images."""
        federation = self.federation
        [local] = [scope for scope in federation.task.scopes if scope.name == LOCAL]
        return score(
            method,
            self._layout(method),
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
        self, method: Method, start: Start, uniform: bool, full: bool, stop: Callable[[], bool]
    ) -> Scores:
        """Score the clients that train."""
        federation = self.federation
        return score(
            method,
            self._layout(method),
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

    def _downloaded(self, clients: np.ndarray) -> tuple[Tensor, Any]:
        """Return what clients are scored with as they are."""
        return self.federation.start(clients, training=False)

    def _layout(self, method: Method) -> Layout:
        """Return the layout of the federation's method, or of a reference that trains nothing."""
        own = self.federation.method
        return self.federation.layout if method is own else Layout(method.specs)

    def _tuned(self, epochs: int, *, rest: bool) -> Start:
        """Return what gives clients the numbers that local epochs on a copy leave them with.

        rest: whether the shared part rests. The images come in an order of their own, that of a
        round after the last, so that no round knows whether anything was scored.
        """
        federation, cfg = self.federation, self.federation.cfg
        resting = [SharedRests(federation.layout)] if rest else []
        trainer = federation.trainer.correcting(resting)

        def start(clients: np.ndarray) -> tuple[Tensor, Any]:
            theta, extra = self._downloaded(clients)
            memory = theta.new_zeros(len(theta), trainer.num_memory)
            result = train_epochs(
                federation, trainer, clients, (theta, extra), memory, epochs,
                round_index=cfg.federation.rounds, pace=0,
            )  # fmt: skip
            check_finite(result, clients, "before scoring", cfg.optim)
            return result.theta, extra

        return start
