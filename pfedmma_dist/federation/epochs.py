"""Epochs: clients train on their own images, in a round or before they are scored."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.room import Need, within_room
from pfedmma_dist.federation.cohort import Batch, lockstep
from pfedmma_dist.federation.counting import begun, count
from pfedmma_dist.federation.laid import Pace
from pfedmma_dist.federation.need import of_step
from pfedmma_dist.federation.released.wave import wave_of
from pfedmma_dist.federation.schedule import Rates
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer
from pfedmma_dist.federation.views import first_view

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def train_epochs(
    federation: "Federation",
    trainer: LocalTrainer,
    clients: np.ndarray,  # [G]
    held: tuple[Tensor, Any],  # rows [G, P + S] to start from, and what else was downloaded
    memory: Tensor,  # [G, M]
    epochs: int,
    round_index: int,  # as which draws, and the order of images, count it
    pace: int,  # the round of which the rates are
) -> LocalResult:
    """Return what so many epochs of these clients leave behind. What they hold stays as it is."""
    cfg, task, method = federation.cfg, federation.task, federation.method
    theta, extra = held
    text = federation.text_of(clients)
    trainer = trainer.telling_apart(text)
    with torch.no_grad():
        prepared = method.prepare(extra, text)
    plan = replace(cfg.federation, local_epochs=epochs)
    own_steps = [federation.steps_of(client, epochs, round_index) for client in clients.tolist()]
    rows = [task.train.rows(client) for client in clients]
    known, view = federation.clients.have_trained(clients), first_view(cfg.data.views)
    if method.begins:
        theta = begun(trainer, theta, rows, view, known)

    def steps() -> Iterator[Batch]:
        return lockstep(own_steps, clients, cfg.seed, round_index)

    if method.counts:
        return count(trainer, theta, memory, prepared, rows, view, known, steps())
    per_epoch = np.array(list(map(len, own_steps))) // epochs
    wave = wave_of(federation, clients, per_epoch, round_index)
    rates = wave or Rates(cfg.optim, plan, pace, epochs * per_epoch)

    def needs() -> list[Need]:
        return of_step(federation, trainer, theta, prepared, next(steps()))

    with torch.enable_grad(), within_room(theta.device, "a step of training", needs):
        own = Pace(rates.at, per_epoch, round_index)
        return trainer.train(theta, memory, prepared, steps(), own)
