"""Local training: epochs of steps, the clients of a cohort in lockstep on rows theta [G, P + S]."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.corrections.correction import Correction, Start, Term
from pfedmma_dist.federation.corrections.running import Running
from pfedmma_dist.federation.examples import ImageGuard
from pfedmma_dist.federation.laid import Laid, Pace, Sources, lay
from pfedmma_dist.federation.optimiser import rule_of
from pfedmma_dist.federation.recorded import Recorder
from pfedmma_dist.federation.seen import Seen
from pfedmma_dist.federation.softmax import Columns
from pfedmma_dist.federation.walk import Push, Walk
from pfedmma_dist.federation.yielding import yielding
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.step import Step, among
from pfedmma_dist.params import Layout


@dataclass(frozen=True)
class LocalResult:
    """What a cohort's local training leaves behind."""

    theta: Tensor  # [G, P + S]
    loss: Tensor  # [G] mean training loss over the client's steps
    num_samples: int  # image passes, padding not counted
    memory: Tensor  # [G, M] what the client keeps of its optimiser and of corrections
    sent: Tensor  # [G, Q] what corrections send beside the shared part
    sums: Tensor | None = None  # [G, N] int64 what clients that count send in place of it

    def of(self, places: np.ndarray) -> "LocalResult":
        """Return what is of some of the cohort alone; `num_samples` stays that of all."""
        rows = {name: x[places] for name, x in vars(self).items() if isinstance(x, Tensor)}
        changed: dict[str, Any] = rows
        return replace(self, **changed)


class LocalTrainer:
    """What all clients have in common when they train."""

    def __init__(
        self,
        method: Method,
        layout: Layout,
        text: ClassText,
        features: Features,
        label_of: Callable[[np.ndarray], np.ndarray],
        optim: OptimConfig,
        corrections: Sequence[Correction] = (),
        columns_of: Columns | None = None,  # of the softmax; None: all take part in every loss
        on_step: Callable[[], None] = lambda: None,  # called before each step
        guard: ImageGuard | None = None,  # of single images
        *,
        waves: bool = False,  # rates leave alone what is steady
        recorder: Recorder | None = None,  # of steps as CUDA graphs
    ) -> None:
        self.method, self.layout, self.text = method, layout, text
        self.features, self.label_of = features, label_of
        self.optim, self.corrections, self.columns_of = optim, corrections, columns_of
        self.on_step, self.guard, self.rule = on_step, guard, rule_of(optim)
        self.recorder = recorder
        waves &= any(spec.steady for spec in layout.specs)
        self.steady = layout.spread("steady") > 0 if waves else None
        self.num_rows = 1 + sum(each.is_personal for each in corrections)
        numbers = self.num_rows * layout.num_trained
        tables = self.rule.tables if optim.keep_state else 0
        self.memories = [tables * numbers, *(c.num_memory for c in corrections)]

    def correcting(self, corrections: Sequence[Correction]) -> "LocalTrainer":
        """Return the same with other corrections, for training of which nothing is sent."""
        return LocalTrainer(
            self.method, self.layout, self.text, self.features, self.label_of, self.optim,
            corrections, self.columns_of, self.on_step, recorder=self.recorder,
        )  # fmt: skip

    def telling_apart(self, text: ClassText) -> "LocalTrainer":
        """Return the same with other classes, those of the clients' data set."""
        other = copy(self)
        other.text = text
        return other

    @property
    def num_memory(self) -> int:
        """Numbers M that a client keeps from round to round beside its parameters."""
        return sum(self.memories)

    def scored(self, theta: Tensor, memory: Tensor) -> Tensor:
        """Return the rows [G, P + S] that clients are scored with; theta: as downloaded."""
        _, *own = memory.split(self.memories, dim=1)
        for each, mine in zip(self.corrections, own, strict=True):
            theta = each.scored(theta, mine)
        return theta

    def train(
        self,
        theta: Tensor,  # [G, P + S] float32
        memory: Tensor,  # [G, M]
        prepared: Any,
        batches: Iterable[Batch],
        pace: Pace | None = None,  # None: steady, at optim.lr
    ) -> LocalResult:
        """Run each client's steps from its row of theta.

        Unless `optim.keep_state` says otherwise, the optimiser's state begins and ends here:
        published simulators let momentum run on from one client to the next, which makes results
        depend on the visiting order.
        """
        pace = pace or Pace.steady(self.optim.lr, len(theta))
        kept, *own = memory.split(self.memories, dim=1)
        per_epoch = torch.from_numpy(pace.steps_per_epoch).to(theta.device)
        starts = [
            Start(theta, mine, per_epoch, each.handed(theta))
            for each, mine in zip(self.corrections, own, strict=True)
        ]
        first, *more = kept.chunk(self.num_rows, dim=1)  # the optimiser's, of every row
        walk, gauge = self._walk(theta, first), Walk(self.rule, torch.zeros_like(theta[:, :1]))
        running = Running(
            self.corrections, starts, prepared, self.text, lambda row: self._walk(row, *more)
        )
        awake, seen = self._awake(theta, prepared, pace.round_index), Seen(theta)
        for index, step in enumerate(self.laid(batches, theta, pace)):
            active, rates = step.active[:, None], step.rates
            gradient = partial(self.gradient, prepared=prepared, step=step, terms=running.terms)
            if self.guard is None:
                loss, grad = gradient(walk.theta)
            else:
                parts = walk.theta, prepared, step, running.terms
                loss, grad = self.guard.gradient(self.gradient, *parts)
            push = Push(loss, walk.update(grad), active & awake)
            push = running.corrected(push, walk.theta, index)
            running.step(walk.theta, gradient, active & awake, rates)
            walk.step(push, self._own_rates(rates))
            gauge.step(Push(loss, torch.ones_like(gauge.theta), active), rates)
            seen.add(push.loss, step, passes=self.num_rows)
        return self._result(walk, gauge, seen, running, kept)

    def laid(
        self, batches: Iterable[Batch], theta: Tensor, pace: Pace | None = None
    ) -> Iterator[Laid]:
        """Yield steps beside the rows theta [G, P + S], each with what the method reads of it."""
        pace = pace or Pace.steady(self.optim.lr, len(theta))
        sources = Sources(self.features, self.method.images, self.label_of, self.columns_of)
        for step in lay(batches, theta, pace, sources):
            self.on_step()
            yield step

    def gradient(
        self, theta: Tensor, prepared: Any, step: Laid | Batch, terms: Sequence[Term] = ()
    ) -> tuple[Tensor, Tensor]:
        """Return each client's loss [G] on a step and its gradient [G, P + S], 0 where a client is
        done."""
        laid = self._beside(theta, step)
        drawn = self.method.draw(prepared, laid.keys)
        if self.recorder is not None and self.recorder.takes(terms):
            return self.recorder.gradient(self._slope, self.text, theta, drawn, laid)
        return self._slope(theta, drawn, laid, terms)

    def _slope(
        self, theta: Tensor, drawn: Any, laid: Laid, terms: Sequence[Term] = ()
    ) -> tuple[Tensor, Tensor]:
        """Return loss and gradient with what the method has drawn; nothing here asks the host."""
        leaf = theta.detach().requires_grad_()
        loss, against = self._both(leaf, drawn, laid, terms)

        def slope(values: Tensor, again: bool) -> Tensor:
            # The sum joins no two clients: the gradient of a row is that of its own loss.
            total = torch.where(laid.active, values, 0.0).sum()
            return torch.autograd.grad(total, leaf, retain_graph=again)[0]

        grad = slope(loss, again=against is not None)
        if against is not None:
            grad = yielding(grad, slope(against, again=False), self.layout, self.method.yields)
        return loss.detach(), grad

    def losses(
        self, theta: Tensor, prepared: Any, step: Laid | Batch, terms: Sequence[Term] = ()
    ) -> Tensor:
        """Return each client's loss [G]: mean cross-entropy over its own images, its penalty, and
        the corrections' terms."""
        laid = self._beside(theta, step)
        return self._both(theta, self.method.draw(prepared, laid.keys), laid, terms)[0]

    def _both(
        self, theta: Tensor, drawn: Any, laid: Laid, terms: Sequence[Term]
    ) -> tuple[Tensor, Tensor | None]:
        """Return each client's loss [G], and the one that it yields to."""
        params = self.layout.views(theta)
        classes = self.method.classes(params, drawn, self.text)
        seen = self._step(params, classes, laid)
        loss = seen.cross_entropy(seen.logits)
        penalty = self.method.penalty(params, classes, seen)
        loss = loss if penalty is None else loss + penalty
        for term in terms:
            loss = loss + term(params, classes, seen)
        return loss, self.method.against(params, classes, seen)

    def _beside(self, theta: Tensor, step: Laid | Batch) -> Laid:
        """Return a step that lies beside the rows."""
        return step if isinstance(step, Laid) else next(self.laid([step], theta))

    def _step(self, params: dict[str, Tensor], classes: Any, laid: Laid) -> Step:
        """Return a step with the logits that the method gives its images."""
        seen = self.method.see(params, classes, laid.images, self.text.clip)
        logits = self.method.logits(params, classes, seen, self.text.clip)
        return Step(
            self.text, self.method.images, laid.images, laid.labels, laid.weight,
            among(laid.own, logits), laid.own, seen,
        )  # fmt: skip

    def _own_rates(self, rates: Tensor) -> Tensor:
        """Return the rates [G, 1] of a step, or [G, P + S] where not all numbers follow them."""
        return rates if self.steady is None else torch.where(self.steady, self.optim.lr, rates)

    def _awake(self, theta: Tensor, prepared: Any, round_index: int) -> Tensor:
        """Return which numbers [G, P + S] the method lets move in a round."""
        awake = torch.ones_like(theta, dtype=torch.bool)
        for name, rests in self.method.resting(prepared, round_index).items():
            whose = rests.to(theta.device).expand(len(theta), *rests.shape[1:])
            self.layout.views(awake)[name][whose] = False
        return awake

    def _walk(self, theta: Tensor, kept: Tensor) -> Walk:
        """Return the rows at their start."""
        keeps = self.optim.keep_state
        scales = (self.layout.spread(name) for name in ("lr_scale", "grad_scale"))
        wakes = keeps or any(each.phased for each in self.corrections)
        return Walk(self.rule, theta, kept if keeps else None, *scales, wakes=wakes)

    def _result(
        self, walk: Walk, gauge: Walk, seen: Seen, running: Running, kept: Tensor
    ) -> LocalResult:
        """Let the corrections close the round, and gather what it leaves behind."""
        # how far a constant gradient of 1 would have brought each shared number
        travelled = -gauge.theta * self.layout.spread("lr_scale")[self.layout.num_private :]
        closed = running.close(walk.theta, travelled)
        states = [one.state for one in (walk, *running.walks)] if self.optim.keep_state else [kept]
        return LocalResult(
            walk.theta,
            seen.loss,
            seen.num_samples,
            torch.cat([*states, *(one.memory for one in closed)], dim=1),
            torch.cat([walk.theta[:, :0], *(one.sent for one in closed)], dim=1),
        )
