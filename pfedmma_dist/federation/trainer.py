"""Local training: epochs of steps, the clients of a cohort in lockstep on rows theta [G, P + S]."""

from collections.abc import Callable, Iterable
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
from pfedmma_dist.federation.optimiser import rule_of
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.world import LIMIT

RateOf = Callable[[int], np.ndarray]
"""Step of the round -> learning rate of each client [G]."""


@dataclass(frozen=True)
class LocalResult:
    """What a cohort's local training leaves behind."""

    theta: Tensor  # [G, P + S]
    loss: Tensor  # [G] mean training loss over the client's steps
    num_samples: int  # image passes, padding not counted
    memory: Tensor  # [G, M] what the client keeps of its optimiser


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
        proximal: float = 0.0,
    ) -> None:
        """proximal: FedProx's mu; a client's loss gains mu / 2 |shared - start of shared|^2. The
        gradient of that term is exact and, as that of the weight decay, is not scaled by
        `grad_scale`: it acts on the parameters themselves and not through the model."""
        self.method, self.layout, self.text = method, layout, text
        self.features, self.label_of = features, label_of
        self.optim, self.proximal = optim, proximal
        self.rule = rule_of(optim)

    @property
    def num_memory(self) -> int:
        """Numbers M that a client keeps from round to round beside its parameters."""
        return self.rule.tables * self.layout.num_trained if self.optim.keep_state else 0

    def train(
        self,
        theta: Tensor,  # [G, P + S] float32
        memory: Tensor,  # [G, M]
        prepared: Any,
        batches: Iterable[Batch],
        rate_of: RateOf | None = None,  # None: optim.lr
    ) -> LocalResult:
        """Run each client's steps from its row of theta.

        Unless `optim.keep_state` says otherwise, the optimiser's state begins and ends here:
        published simulators let momentum run on from one client to the next, which makes results
        depend on the visiting order.
        """
        device, keeps = theta.device, self.optim.keep_state
        lr_scale, grad_scale, shared = (
            self.layout.spread(name).to(device) for name in ("lr_scale", "grad_scale", "shared")
        )
        lr = self.optim.lr * lr_scale  # [P + S]
        start, pull = theta, self.proximal * shared  # pull: 0 on P
        trains = torch.ones_like(theta, dtype=torch.bool)
        for name, rests in self.method.resting(prepared).items():
            self.layout.views(trains)[name][rests.to(device)] = False
        rule = self.rule
        state = memory if keeps else theta.new_zeros(len(theta), rule.tables * theta.shape[1])
        loss_sum, num_steps = (torch.zeros(len(theta), device=device) for _ in range(2))
        num_samples = 0
        for step, batch in enumerate(batches):
            active = torch.from_numpy(batch.active).to(device)
            leaf = theta.detach().requires_grad_()
            loss = self.losses(leaf, prepared, batch)
            # The sum joins no two clients: the gradient of a row is that of its own loss.
            (grad,) = torch.autograd.grad(torch.where(active, loss, 0.0).sum(), leaf)
            update = grad * grad_scale + rule.l2 * theta
            if self.proximal:
                moved = theta - start
                update = update + pull * moved
                loss = loss.detach() + 0.5 * (pull * moved.square()).sum(dim=1)
            if rate_of is not None:
                rates = torch.from_numpy(rate_of(step)).to(device, theta.dtype)
                lr = rates[:, None] * lr_scale
            moves = active[:, None] & trains
            after, new = rule.step(theta, update, state, lr)
            theta = torch.where(moves, after, theta)
            # A client that is done takes no more steps: what becomes of its state matters if kept.
            state = torch.where(moves.repeat(1, rule.tables), new, state) if keeps else new
            loss_sum += torch.where(active, loss.detach(), 0.0)
            num_steps += active
            num_samples += int(batch.weight[batch.active].sum())
        loss = loss_sum / num_steps.clamp(min=1)
        return LocalResult(theta, loss, num_samples, state if keeps else memory)

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


def check_finite(
    result: LocalResult, clients: np.ndarray, round_index: int, optim: OptimConfig
) -> None:
    """Raise for the first client whose training left the numbers that can be averaged."""
    sound = (result.loss.abs() < LIMIT) & (result.theta.abs() < LIMIT).all(dim=1)  # nan is not
    for client, ok, loss in zip(clients, sound.tolist(), result.loss.tolist(), strict=True):
        if not ok:
            raise ValueError(
                f"optim.lr: {optim.lr} drove the training of client {client} in round "
                f"{round_index} to numbers that are not finite or not below {LIMIT:g} "
                f"(mean loss {loss:g}); lower optim.lr"
            )
