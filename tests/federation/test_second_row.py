"""Ditto and APFL equal one client after another under torch's own SGD, and leave the rest alone."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import SIZES, batches, tiny_federation
from torch import Tensor
from toy import NO_TEXT, Linear, Table

from pfedmma_dist.config.choices import CorrectionName, Optimiser
from pfedmma_dist.config.keys import Config, FederationConfig
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig
from pfedmma_dist.cost import count
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.corrections.second import SecondRow
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.params import Layout

CLASSES, WIDTH = 3, 5
OWN = WIDTH * CLASSES  # numbers of the private weight; the shared bias follows
METHOD = Linear(CLASSES, WIDTH)
LAYOUT = Layout(METHOD.specs)
NUMBERS = torch.from_numpy(np.random.default_rng(0).standard_normal((24, WIDTH)))
LABELS = np.arange(24) % CLASSES
ROWS = [np.arange(10), np.arange(10, 13), np.arange(13, 20)]
CLIENTS = np.arange(3)
CFG = FederationConfig(batch_size=4, local_epochs=2, drop_last=False)
OPTIM = OptimConfig(lr=2**-5, momentum=0.9, weight_decay=2**-6)
RULES = {
    "ditto": {"mix": 1.0, "learns": False, "pull": 0.75},
    "apfl": {"mix": 0.25, "learns": True, "pull": 0.0},
    "apfl-fixed": {"mix": 0.25, "learns": False, "pull": 0.0},
}
EVERYBODY = np.arange(len(SIZES))


@dataclass
class Slow:
    """One client: both rows and the weight of the mixture, as plain tensors."""

    first: Tensor
    second: Tensor
    mix: Tensor

    def losses(self, row: Tensor, rows: np.ndarray) -> Tensor:
        weight, bias = row[:OWN].view(CLASSES, WIDTH), row[OWN:]
        loss = F.cross_entropy(NUMBERS[rows] @ weight.T + bias, torch.from_numpy(LABELS[rows]))
        return loss + 0.25 * weight.square().sum()

    def optimiser(self, row: Tensor) -> tuple[list[Tensor], torch.optim.Optimizer]:
        parts = [row[:OWN].clone().requires_grad_(), row[OWN:].clone().requires_grad_()]
        groups = [{"params": [parts[0]]}, {"params": [parts[1]], "lr": 0.5 * OPTIM.lr}]
        return parts, torch.optim.SGD(
            groups, lr=OPTIM.lr, momentum=OPTIM.momentum, weight_decay=OPTIM.weight_decay
        )

    def train(self, steps: list[Batch], g: int, rule: dict[str, Any]) -> None:
        """Run a round of client g."""
        download = self.first[OWN:].clone()
        first, of_first = self.optimiser(self.first)
        second, of_second = self.optimiser(self.second)
        for batch in steps:
            if not batch.active[g]:
                continue
            rows = batch.rows[g][batch.weight[g] > 0]
            mix = self.mix.clone().requires_grad_()
            still = torch.cat(first).detach()
            mixed = mix * torch.cat(second) + (1 - mix) * still
            pull = rule["pull"] / 2 * (second[1] - download).square().sum()
            for optimiser, loss in (
                (of_second, self.losses(mixed, rows) + pull),
                (of_first, self.losses(torch.cat(first), rows)),
            ):
                optimiser.zero_grad()
                loss.backward()
            for parts, optimiser in ((first, of_first), (second, of_second)):
                parts[0].grad *= 4.0  # grad_scale of the weight
                optimiser.step()
            if rule["learns"]:
                self.mix = (self.mix - OPTIM.lr * mix.grad).clamp(0, 1)
        self.first, self.second = (torch.cat(parts).detach() for parts in (first, second))


def start() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((3, LAYOUT.num_trained)))


@pytest.mark.parametrize("name", RULES)
def test_rows_and_their_mixture_equal_a_slow_loop_over_two_rounds(name: str) -> None:
    rule = RULES[name]
    correction = SecondRow(LAYOUT, **rule)
    trainer = LocalTrainer(
        METHOD, LAYOUT, NO_TEXT, Table(NUMBERS), LABELS.__getitem__, OPTIM, [correction]
    )
    theta, memory = start(), torch.zeros(3, trainer.num_memory, dtype=torch.float64)
    slow = [Slow(row, row, torch.tensor(rule["mix"], dtype=torch.float64)) for row in theta]
    for index in range(2):
        steps = list(batches(ROWS, CLIENTS, CFG, 1, index, 1))
        result = trainer.train(theta, memory, None, steps)
        for g, client in enumerate(slow):
            client.train(steps, g, rule)
        torch.testing.assert_close(result.theta, torch.stack([c.first for c in slow]))
        expected = [torch.cat([c.second, c.mix[None], torch.ones(1)]) for c in slow]
        torch.testing.assert_close(result.memory, torch.stack(expected), rtol=0, atol=1e-12)
        shared = result.theta[:, OWN:].mean(dim=0).expand(3, -1)
        theta, memory = torch.cat([result.theta[:, :OWN], shared], dim=1), result.memory
        for client, row in zip(slow, theta, strict=True):
            client.first = row
    scored = trainer.scored(theta, memory)
    mixed = [c.mix * c.second + (1 - c.mix) * row for c, row in zip(slow, theta, strict=True)]
    torch.testing.assert_close(scored, torch.stack(mixed), rtol=0, atol=1e-12)
    learned = [abs(float(client.mix) - rule["mix"]) > 1e-4 for client in slow]
    assert learned == [rule["learns"]] * 3


def test_client_alone_has_the_second_row_that_it_has_in_a_cohort() -> None:
    trainer = LocalTrainer(
        METHOD, LAYOUT, NO_TEXT, Table(NUMBERS), LABELS.__getitem__, OPTIM,
        [SecondRow(LAYOUT, **RULES["apfl"])],
    )  # fmt: skip
    theta, memory = start(), torch.zeros(3, trainer.num_memory, dtype=torch.float64)
    steps = list(batches(ROWS, CLIENTS, CFG, 1, 0, 1))
    together = trainer.train(theta, memory, None, steps).memory
    for g in CLIENTS:
        own = slice(g, g + 1)
        cut = [Batch(b.rows[own], b.views[own], b.weight[own], b.active[own]) for b in steps]
        alone = trainer.train(theta[own], memory[own], None, cut).memory
        torch.testing.assert_close(together[own], alone, rtol=0, atol=1e-12)


def test_kept_state_of_the_optimiser_is_that_of_both_rows() -> None:
    """Two rounds of one step with state carried along are one round of two steps."""
    optim = replace(OPTIM, name=Optimiser.adam, keep_state=True)
    trainer = LocalTrainer(
        METHOD, LAYOUT, NO_TEXT, Table(NUMBERS), LABELS.__getitem__, optim,
        [SecondRow(LAYOUT, **RULES["apfl"])],
    )  # fmt: skip
    steps = list(batches(ROWS, CLIENTS, CFG, 1, 0, 1))[:2]
    theta, fresh = start(), torch.zeros(3, trainer.num_memory, dtype=torch.float64)
    once = trainer.train(theta, fresh, None, steps)
    half = trainer.train(theta, fresh, None, steps[:1])
    twice = trainer.train(half.theta, half.memory, None, steps[1:])
    torch.testing.assert_close(twice.theta, once.theta, rtol=0, atol=1e-12)
    torch.testing.assert_close(twice.memory, once.memory, rtol=0, atol=1e-12)


def federation(method: type = PromptFL, **correction: object) -> Federation:
    made = CorrectionConfig(**correction)
    return tiny_federation(method, correction=made, fraction=0.5, optim=OptimConfig(lr=0.1))


@pytest.mark.parametrize("name", ["ditto", "apfl"])
@pytest.mark.parametrize("method", [PromptFL, PFedMMA])
def test_first_rows_and_what_is_averaged_keep_their_bits(method: type, name: str) -> None:
    plain, made = federation(method), federation(method, name=CorrectionName[name])
    for index in range(2):
        assert plain.round(index).loss == made.round(index).loss
    assert torch.equal(plain.exchange.shared, made.exchange.shared)
    width = plain.layout.num_private
    theirs = made.clients.gather(EVERYBODY)[:, :width]
    assert torch.equal(plain.clients.gather(EVERYBODY), theirs)


@pytest.mark.parametrize("name", ["ditto", "apfl"])
def test_client_is_scored_with_its_own_and_a_newcomer_as_downloaded(name: str) -> None:
    made = federation(name=CorrectionName[name])
    made.round(0)
    chosen = made.participants(0)
    scored, _ = made.start(EVERYBODY, training=False)
    same = (scored == made.exchange.shared).all(dim=1).numpy()
    assert np.flatnonzero(~same).tolist() == chosen.tolist()
    row, mix, began = made.corrections[0]._read(made.memory(EVERYBODY))
    assert began.flatten().numpy().nonzero()[0].tolist() == chosen.tolist()
    mixed = mix * row + (1 - mix) * made.exchange.shared
    torch.testing.assert_close(scored[chosen], mixed[chosen])
    # One answer no longer serves all, but all newcomers.
    assert made.evaluate(full=True).num_images == (len(chosen) + 1) * 24


def test_mixture_without_the_second_row_is_fedavg() -> None:
    made = federation(name=CorrectionName.apfl, mix=0.0, learn_mix=False)
    made.round(0)
    scored, _ = made.start(EVERYBODY, training=False)
    assert torch.equal(scored, made.exchange.shared.expand(len(SIZES), -1))


def test_stronger_pull_keeps_ditto_nearer_to_the_download() -> None:
    far = []
    for pull in (0.0, 5.0):
        made = federation(name=CorrectionName.ditto, pull=pull)
        start = made.exchange.shared
        made.round(0)
        scored, _ = made.start(made.participants(0), training=False)
        far.append((scored - start).norm())
    assert 0 < far[1] < far[0]


def test_costs_tell_what_a_client_trains_besides_and_that_it_sends_no_more() -> None:
    cfg = Config()
    plain = PromptFL(PromptFL.Options(), tiny_federation(PromptFL).clip.dims)
    trained, cost = count(plain, cfg)
    for name, more in ((CorrectionName.ditto, 0), (CorrectionName.apfl, 1)):
        cfg.correction.name = name
        assert count(plain, cfg) == (2 * trained + more, cost)
        assert federation(name=name).num_trained == 2 * trained + more
