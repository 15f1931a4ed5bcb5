"""Local training: epochs of steps, the clients of a cohort in lockstep on rows theta [G, P + S]."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.cache import Features
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.federation.optimiser import Rule, rule_of
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.world import LIMIT


@dataclass(frozen=True)
class Pace:
    """How the steps of a cohort's round run."""

    rates: Callable[[int], np.ndarray]  # step of the round -> learning rate of each client [G]
    steps_per_epoch: np.ndarray  # [G]


@dataclass(frozen=True)
class LocalResult:
    """What a cohort's local training leaves behind."""

    theta: Tensor  # [G, P + S]
    loss: Tensor  # [G] mean training loss over the client's steps
    num_samples: int  # image passes, padding not counted
    memory: Tensor  # [G, M] what the client keeps of its optimiser and of corrections
    sent: Tensor  # [G, Q] what corrections send beside the shared part
    sums: Tensor | None = None  # [G, N] int64 what clients that count send in place of it


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
    ) -> None:
        self.method, self.layout, self.text = method, layout, text
        self.features, self.label_of = features, label_of
        self.optim, self.corrections = optim, corrections
        self.rule = rule_of(optim)
        tables = self.rule.tables if optim.keep_state else 0
        self.memories = [tables * layout.num_trained, *(c.num_memory for c in corrections)]

    @property
    def num_memory(self) -> int:
        """Numbers M that a client keeps from round to round beside its parameters."""
        return sum(self.memories)

    def train(
        self,
        theta: Tensor,  # [G, P + S] float32
        memory: Tensor,  # [G, M]
        prepared: Any,
        batches: Iterable[Batch],
        pace: Pace | None = None,  # None: optim.lr, no epochs
    ) -> LocalResult:
        """Run each client's steps from its row of theta.

        Unless `optim.keep_state` says otherwise, the optimiser's state begins and ends here:
        published simulators let momentum run on from one client to the next, which makes results
        depend on the visiting order.
        """
        device, keeps, rule = theta.device, self.optim.keep_state, self.rule
        lr_scale, grad_scale = (
            self.layout.spread(name).to(device) for name in ("lr_scale", "grad_scale")
        )
        rates, lr = None, self.optim.lr * lr_scale  # [P + S]
        kept, *own = memory.split(self.memories, dim=1)
        per_epoch = torch.from_numpy(pace.steps_per_epoch if pace else np.zeros(len(theta)))
        corrections = [
            (each, Start(theta, mine, per_epoch.to(device)))
            for each, mine in zip(self.corrections, own, strict=True)
        ]
        trains = torch.ones_like(theta, dtype=torch.bool)
        for name, rests in self.method.resting(prepared).items():
            self.layout.views(trains)[name][rests.to(device)] = False
        state = kept if keeps else theta.new_zeros(len(theta), rule.tables * theta.shape[1])
        wakes = keeps or any(each.phased for each in self.corrections)  # what rests moves again
        gauge = Gauge(rule, theta)
        loss_sum, num_steps = (torch.zeros(len(theta), device=device) for _ in range(2))
        num_samples = 0
        for step, batch in enumerate(batches):
            active = torch.from_numpy(batch.active).to(device)
            leaf = theta.detach().requires_grad_()
            loss = self.losses(leaf, prepared, batch)
            # The sum joins no two clients: the gradient of a row is that of its own loss.
            (grad,) = torch.autograd.grad(torch.where(active, loss, 0.0).sum(), leaf)
            update, loss = grad * grad_scale + rule.l2 * theta, loss.detach()
            moves = active[:, None] & trains
            for each, start in corrections:
                pull, term, moving = (
                    each.pull(theta, start), each.loss(theta, start), each.moving(step, start)
                )  # fmt: skip
                update = update if pull is None else update + pull
                loss = loss if term is None else loss + term
                moves = moves if moving is None else moves & moving
            if pace is not None:
                rates = torch.from_numpy(pace.rates(step)).to(device, theta.dtype)[:, None]
                lr = rates * lr_scale
            after, new = rule.step(theta, update, state, lr)
            theta = torch.where(moves, after, theta)
            state = torch.where(moves.repeat(1, rule.tables), new, state) if wakes else new
            if corrections:
                gauge.step(active, self.optim.lr if rates is None else rates)
            loss_sum += torch.where(active, loss, 0.0)
            num_steps += active
            num_samples += int(batch.weight[batch.active].sum())
        travelled = gauge.distance * lr_scale[self.layout.num_private :]
        closed = [each.close(theta, start, travelled) for each, start in corrections]
        return LocalResult(
            theta,
            loss_sum / num_steps.clamp(min=1),
            num_samples,
            torch.cat([state if keeps else kept, *(one.memory for one in closed)], dim=1),
            torch.cat([theta[:, :0], *(one.sent for one in closed)], dim=1),
        )

    def losses(self, theta: Tensor, prepared: Any, batch: Batch) -> Tensor:
        """Return each client's loss [G]: mean cross-entropy over its own images, and its
        penalty."""
        shape = batch.rows.shape
        views = batch.rows.reshape(-1), batch.views.reshape(-1)
        images = self.features.rows(self.method.images, views).unflatten(0, shape)
        labels = torch.from_numpy(self.label_of(batch.rows)).to(theta.device)
        weight = torch.from_numpy(batch.weight).to(theta.device)
        params = self.layout.views(theta)
        classes = self.method.classes(params, prepared, self.text)
        logits = self.method.logits(params, classes, images, self.text.clip)
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        loss = (losses.view(shape) * weight).sum(dim=1) / weight.sum(dim=1)
        penalty = self.method.penalty(params, classes, self.text)
        return loss if penalty is None else loss + penalty


class Gauge:
    """How far a constant gradient of 1 would have brought a number of each client [G, 1]."""

    def __init__(self, rule: Rule, theta: Tensor) -> None:
        self.rule, self.distance = rule, theta.new_zeros(len(theta), 1)
        self.state = theta.new_zeros(len(theta), rule.tables)

    def step(self, active: Tensor, lr: float | Tensor) -> None:
        """Take one more step, where a client does."""
        ones = torch.ones_like(self.distance)
        place, state = self.rule.step(-self.distance, ones, self.state, lr)
        self.distance = torch.where(active[:, None], -place, self.distance)
        self.state = torch.where(active[:, None], state, self.state)


def check_finite(
    result: LocalResult, clients: np.ndarray, round_index: int, optim: OptimConfig
) -> None:
    """Raise for the first client whose training left the numbers that can be averaged."""
    sound = (result.loss.abs() < LIMIT) & (result.theta.abs() < LIMIT).all(dim=1)  # nan is not
    sound &= (result.sent.abs() < LIMIT).all(dim=1)
    for client, ok, loss in zip(clients, sound.tolist(), result.loss.tolist(), strict=True):
        if not ok:
            raise ValueError(
                f"optim.lr: {optim.lr} drove the training of client {client} in round "
                f"{round_index} to numbers that are not finite or not below {LIMIT:g} "
                f"(mean loss {loss:g}); lower optim.lr"
            )
