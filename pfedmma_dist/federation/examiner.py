"""Examiner: which clients are scored with which numbers, on which test sets.

Clients that train are scored with their own, if `evaluate.finetune_epochs` says so after some more
local epochs. Those of `federation.unseen` never train and are scored as they would join: as
downloaded, after a few local epochs in which the shared part rests, and after as many in which all
of it trains. What is learned there is not kept.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.room import within_room
from pfedmma_dist.config.choices import Part
from pfedmma_dist.config.keys import EvaluateConfig
from pfedmma_dist.data.tasks.task import Scope
from pfedmma_dist.federation.classify import Classifier, Group
from pfedmma_dist.federation.corrections.resting import SharedRests
from pfedmma_dist.federation.epochs import train_epochs
from pfedmma_dist.federation.evaluate import Scores, Sitting, Start, nothing, score
from pfedmma_dist.federation.finite import check_finite
from pfedmma_dist.federation.grouping import groups, those_to_score, together
from pfedmma_dist.federation.need import of_batch
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.quantities.attacked import ATTACKERS
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
        scopes = self.federation.task.scopes
        names = list(dict.fromkeys(scope.name for scope in scopes))
        own = list(dict.fromkeys(scope.name for scope in scopes if not scope.full))
        apart = [ATTACKERS] * bool(len(self.federation.attackers)) + [*UNSEEN] * self._has_unseen
        return [*own, *apart, *(name for name in names if name not in own)] if apart else names

    @property
    def _has_unseen(self) -> bool:
        return len(self.federation.unseen) > 0

    def exam(self, full: bool, sitting: Sitting | None = None) -> Scores:
        """Score every client: on its own images, if `full` on all test sets. Collective.

        What a sitting cuts short has no scores yet; one with the same tables goes on from there.
        """
        sitting, federation = sitting or Sitting(), self.federation
        uniform = federation.uniform and not self.tunes
        own = groups(federation, federation.seen, uniform=uniform, downloaded=not self.tunes)
        classifier = self.classifier(federation.method, self._scopes(full))
        found = self._apart(self.graded(classifier, self.start, own, sitting))
        if not (full and self._has_unseen):
            return found
        return self._joined(found, {} if found.stop else self._exam_unseen(sitting))

    def classifier(self, method: Method, scopes: list[Scope]) -> Classifier:
        """Return what a method, or a reference that trains nothing, is scored by."""
        federation = self.federation
        assert federation.sources is not None
        is_own = method is federation.method
        own = federation.layout if is_own else Layout(method.specs)
        return Classifier(
            method, own, federation.task, scopes, federation.texts, federation.sources.test,
            federation.cfg.evaluate.batch_size, federation.stale_text if is_own else None,
        )  # fmt: skip

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

    def reference(self, method: Method) -> Scores:
        """Score a method that trains nothing on every test set. Collective."""
        federation = self.federation
        own = together(federation, those_to_score(federation))
        classifier = self.classifier(method, self._scopes(full=True))
        found = self._apart(self.graded(classifier, nothing, own))
        if not self._has_unseen:
            return found
        own = together(federation, federation.unseen)
        classifier = self.classifier(method, self._unseen_scope(UNSEEN[0]))
        unseen = self.graded(classifier, nothing, own)
        return self._joined(found, dict.fromkeys(UNSEEN, unseen))

    def _exam_unseen(self, sitting: Sitting) -> dict[str, Scores]:
        """Score the clients that never train: as downloaded, and after epochs of a part and all;
        return less where a signal cuts it short."""
        federation, layout = self.federation, self.federation.layout
        epochs = federation.cfg.evaluate.unseen_epochs
        starts: dict[str, Start] = {UNSEEN[0]: self._downloaded}
        if layout.num_private:
            starts[UNSEEN[1]] = self._tuned(epochs, rest=True)
        if layout.num_trained:
            starts[UNSEEN[2]] = self._tuned(epochs, rest=False)
        found: dict[str, Scores] = {}
        for name, start in starts.items():
            downloaded = name == UNSEEN[0]
            uniform = downloaded and federation.uniform
            own = groups(federation, federation.unseen, uniform=uniform, downloaded=downloaded)
            classifier = self.classifier(federation.method, self._unseen_scope(name))
            found[name] = self.graded(classifier, start, own, sitting)
            if found[name].stop and name != list(starts)[-1]:
                return {}
        return {name: found.get(name, found[UNSEEN[0]]) for name in UNSEEN}

    def graded(
        self, classifier: Classifier, start: Start, own: list[Group], sitting: Sitting | None = None
    ) -> Scores:
        federation, needs = self.federation, partial(of_batch, self.federation, classifier, own)
        also = "give evaluate.batch_size to pfedmma_dist.evaluate, which scores what was saved"
        with within_room(federation.clip.device, "a batch of scores", needs, also):
            return score(classifier, start, own, federation.world, sitting)

    def _apart(self, found: Scores) -> Scores:
        """Return the same scores without the attackers', whose Local stands beside them."""
        bad, percent = self.federation.attackers, found.percent
        if not len(bad) or not percent:
            return found
        honest = {name: values.copy() for name, values in percent.items()}
        for values in honest.values():
            values[bad] = np.nan
        own = np.full_like(percent[LOCAL], np.nan)
        own[bad] = percent[LOCAL][bad]
        named = honest | {ATTACKERS: own}
        return replace(found, percent={n: named[n] for n in self.scope_names if n in named})

    def _joined(self, found: Scores, unseen: dict[str, Scores]) -> Scores:
        """Return one record of the scores of all, its scopes in order; without any where those of
        some are missing."""
        own = [found, *{id(one): one for one in unseen.values()}.values()]
        is_whole = bool(unseen) and all(scores.is_whole for scores in own)
        percent = dict(found.percent)
        percent |= {
            name: next(iter(one.percent.values()), np.empty(0)) for name, one in unseen.items()
        }
        return Scores(
            percent={name: percent[name] for name in self.scope_names} if is_whole else {},
            num_images=sum(one.num_images for one in own),
            seconds=sum(one.seconds for one in own),
            stop=not is_whole or any(one.stop for one in own),
            is_whole=is_whole,
        )

    def _scopes(self, full: bool) -> list[Scope]:
        """Return what clients that train are scored on."""
        return [scope for scope in self.federation.task.scopes if full or not scope.full]

    def _unseen_scope(self, name: str) -> list[Scope]:
        """Return the own test images as the scope of this name, of each data set."""
        scopes = self.federation.task.scopes
        return [replace(scope, name=name) for scope in scopes if scope.name == LOCAL]

    def newcomers(self, clients: np.ndarray) -> tuple[Tensor, Any]:
        """Return what clients would be scored with that never trained, and what else they would be
        handed: the shared part, and a private one as every client began with."""
        federation, layout = self.federation, self.federation.layout
        download = federation.exchange.download(clients, training=False)
        shared = download.shared.to(federation.clip.device)
        private = federation.clients.template[: layout.num_private].to(shared)
        theta = torch.cat([private.expand(len(clients), -1), shared], dim=1)
        federation.method.deal(layout.views(theta), clients)
        return theta, download.extra

    def _downloaded(self, clients: np.ndarray) -> tuple[Tensor, Any]:
        """Return what clients are scored with as they are."""
        return self.federation.start(clients, training=False)

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
