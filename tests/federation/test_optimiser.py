"""Local rules equal torch.optim's on one client, whatever cohort the client is in."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pfedmma_dist.config.choices import Optimiser
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.optimiser import rule_of

WIDTH, STEPS, CLIENTS = 40, 50, 3
CASES = {
    "sgd": OptimConfig(lr=0.05),
    "nesterov": OptimConfig(lr=0.05, nesterov=True),
    "plain": OptimConfig(lr=0.05, momentum=0.0),
    "adam": OptimConfig(name=Optimiser.adam, lr=0.01, weight_decay=0.02),
    "adam_other": OptimConfig(name=Optimiser.adam, lr=0.01, beta1=0.5, beta2=0.9, eps=1e-3),
    "adamw": OptimConfig(name=Optimiser.adamw, lr=0.01, weight_decay=0.1),
}
NOISE = np.random.default_rng(0)
START = torch.from_numpy(NOISE.standard_normal((CLIENTS, WIDTH))).float()
PULL = torch.from_numpy(NOISE.standard_normal((STEPS, CLIENTS, WIDTH))).float()
SCALE = torch.from_numpy(NOISE.uniform(0.5, 2.0, WIDTH)).float()


def gradient(theta: Tensor, step: int, clients: slice) -> Tensor:
    """Return that of a quadratic that moves from step to step."""
    return theta - PULL[step, clients]


def slowly(cfg: OptimConfig, client: int) -> Tensor:
    """Run torch's own optimiser on one client, a group for every number that has a rate."""
    row = [number.clone().requires_grad_() for number in START[client]]
    groups = [{"params": [x], "lr": cfg.lr * float(s)} for x, s in zip(row, SCALE, strict=True)]
    if cfg.name is Optimiser.sgd:
        optimizer = torch.optim.SGD(
            groups, momentum=cfg.momentum, nesterov=cfg.nesterov, weight_decay=cfg.weight_decay
        )
    else:
        kind = {Optimiser.adam: torch.optim.Adam, Optimiser.adamw: torch.optim.AdamW}[cfg.name]
        optimizer = kind(
            groups, betas=(cfg.beta1, cfg.beta2), eps=cfg.eps, weight_decay=cfg.weight_decay
        )
    for step in range(STEPS):
        found = gradient(torch.stack(row).detach(), step, slice(client, client + 1))[0]
        for number, grad in zip(row, found, strict=True):
            number.grad = grad.clone()
        optimizer.step()
    return torch.stack(row).detach()


def ours(cfg: OptimConfig, clients: slice) -> Tensor:
    rule, theta = rule_of(cfg), START[clients]
    state = torch.zeros(len(theta), rule.tables * WIDTH)
    for step in range(STEPS):
        grad = gradient(theta, step, clients) + rule.l2 * theta
        theta, state = rule.step(theta, grad, state, cfg.lr * SCALE)
    return theta


@pytest.mark.parametrize("case", CASES)
def test_fifty_steps_equal_torchs(case: str) -> None:
    torch.testing.assert_close(
        ours(CASES[case], slice(0, 1))[0], slowly(CASES[case], 0), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("case", CASES)
def test_client_has_the_same_bits_in_any_cohort(case: str) -> None:
    together = ours(CASES[case], slice(None))
    for client in range(CLIENTS):
        alone = ours(CASES[case], slice(client, client + 1))
        assert torch.equal(together[client], alone[0])


@pytest.mark.parametrize("name", Optimiser)
def test_every_rule_moves(name: Optimiser) -> None:
    cfg = replace(CASES["sgd"], name=name)
    assert not torch.equal(ours(cfg, slice(0, 1)), START[:1])
