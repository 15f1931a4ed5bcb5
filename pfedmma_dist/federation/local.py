"""Local training: epochs of SGD, the clients of a cohort in lockstep on rows theta [G, P + S]."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.cache import Features
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.keys import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.world import LIMIT


@dataclass(frozen=True)
class LocalResult:
    """What a cohort's local training leaves behind."""

    theta: Tensor  # [G, P + S]
    loss: Tensor  # [G] mean training loss over the client's steps
    num_samples: int  # image passes, padding not counted


def train_cohort(
    method: Method,
    layout: Layout,
    theta: Tensor,  # [G, P + S] float32
    prepared: Any,
    text: ClassText,
    features: Features,
    label_of: Callable[[np.ndarray], np.ndarray],
    batches: Iterable[Batch],
    optim: OptimConfig,
    proximal: float = 0.0,
) -> LocalResult:
    """Run each client's steps from its row of theta.

    proximal: FedProx's mu; a client's loss gains mu / 2 |shared - start of shared|^2. The gradient
    of that term is exact and, as that of the weight decay, is not scaled by `grad_scale`: it acts
    on the parameters themselves and not through the model.

    The optimiser's state begins and ends here: published simulators let momentum run on from one
    client to the next, which makes results depend on the visiting order.
    """
    lr = optim.lr * layout.spread("lr_scale").to(theta.device)
    grad_scale = layout.spread("grad_scale").to(theta.device)
    start, pull = theta, proximal * layout.spread("shared").to(theta.device)  # [P + S], 0 on P
    trains = torch.ones_like(theta, dtype=torch.bool)
    for name, rests in method.resting(prepared).items():
        layout.views(trains)[name][rests.to(theta.device)] = False
    momentum = torch.zeros_like(theta)
    loss_sum = torch.zeros(len(theta), device=theta.device)
    num_steps = torch.zeros(len(theta), device=theta.device)
    num_samples = 0
    for batch in batches:
        active = torch.from_numpy(batch.active).to(theta.device)
        leaf = theta.detach().requires_grad_()
        loss = client_losses(method, layout, leaf, prepared, text, features, label_of, batch)
        # The sum joins no two clients: the gradient of a row is that of its own loss.
        (grad,) = torch.autograd.grad(torch.where(active, loss, 0.0).sum(), leaf)
        update = grad * grad_scale + optim.weight_decay * theta
        if proximal:
            moved = theta - start
            update = update + pull * moved
            loss = loss.detach() + 0.5 * (pull * moved.square()).sum(dim=1)
        momentum = optim.momentum * momentum + update
        theta = torch.where(active[:, None] & trains, theta - lr * momentum, theta)
        loss_sum += torch.where(active, loss.detach(), 0.0)
        num_steps += active
        num_samples += int(batch.weight[batch.active].sum())
    return LocalResult(theta, loss_sum / num_steps.clamp(min=1), num_samples)


def client_losses(
    method: Method,
    layout: Layout,
    theta: Tensor,
    prepared: Any,
    text: ClassText,
    features: Features,
    label_of: Callable[[np.ndarray], np.ndarray],
    batch: Batch,
) -> Tensor:
    """Return each client's loss [G]: mean cross-entropy over its own images, and its penalty."""
    shape = batch.rows.shape
    views = batch.rows.reshape(-1), batch.views.reshape(-1)
    images = features.rows(method.images, views).unflatten(0, shape)
    labels = torch.from_numpy(label_of(batch.rows)).to(theta.device)
    weight = torch.from_numpy(batch.weight).to(theta.device)
    params = layout.views(theta)
    classes = method.classes(params, prepared, text)
    logits = method.logits(params, classes, images, text.clip)
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    loss = (losses.view(shape) * weight).sum(dim=1) / weight.sum(dim=1)
    penalty = method.penalty(params, classes, text)
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
