"""Schedules equal torch's own, warm-ups those of the published recipe, in rounds and in steps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pfedmma_dist.config.choices import Schedule, Unit
from pfedmma_dist.config.keys import FederationConfig
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.schedule import Rates, rate

LENGTHS = st.integers(1, 60)


def slow(cfg: OptimConfig, length: int, places: int) -> list[float]:
    """Let torch's schedulers walk through the places."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.lr)
    kinds = {
        Schedule.constant: lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        Schedule.cosine: lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, length),
        Schedule.step: lambda: torch.optim.lr_scheduler.StepLR(optimizer, cfg.step_size, cfg.gamma),
    }
    scheduler, found = kinds[cfg.schedule](), []
    for place in range(places):
        if place < cfg.warmup:  # the schedule has not begun
            rises = cfg.lr * (place + 1) / (cfg.warmup + 1)
            found.append(rises if cfg.warmup_lr is None else cfg.warmup_lr)
            continue
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@given(
    schedule=st.sampled_from(Schedule), length=LENGTHS, warmup=st.integers(0, 10),
    warmup_lr=st.sampled_from([None, 1e-5]), step_size=st.integers(1, 20),
    gamma=st.floats(0.1, 1.0), lr=st.floats(1e-6, 1.0),
)  # fmt: skip
def test_rates_equal_those_of_torchs_schedulers(length: int, **values: object) -> None:
    cfg = OptimConfig(**values)
    ours = [rate(cfg, place, length) for place in range(length)]
    np.testing.assert_allclose(ours, slow(cfg, length, length), rtol=1e-9, atol=1e-15)


@given(schedule=st.sampled_from(Schedule), length=LENGTHS, warmup=st.integers(0, 70))
def test_rates_are_positive_up_to_the_last_place(
    schedule: Schedule, length: int, warmup: int
) -> None:
    cfg = OptimConfig(schedule=schedule, warmup=warmup)
    found = [rate(cfg, place, length) for place in range(length)]
    assert all(0 < one <= cfg.lr for one in found)


def test_rounds_move_the_rate_between_rounds_and_steps_within_them() -> None:
    steps, plan = np.array([4, 2]), FederationConfig(rounds=10)
    by_round = OptimConfig(schedule=Schedule.cosine)
    rates = [Rates(by_round, plan, index, steps) for index in (0, 5)]
    for of_round, factor in zip(rates, (1.0, 0.5), strict=True):
        for step in range(4):
            assert of_round.at(step) == pytest.approx([factor * 1e-3] * 2)
    by_step = OptimConfig(schedule=Schedule.cosine, unit=Unit.steps)
    for index in (0, 5):
        of_round = Rates(by_step, plan, index, steps)
        assert of_round.at(0) == pytest.approx([1e-3, 1e-3])
        assert of_round.at(1) == pytest.approx([1e-3 * (1 + 0.5**0.5) / 2, 5e-4])
        assert of_round.at(2)[0] == pytest.approx(5e-4)


def test_warmup_of_coops_recipe() -> None:
    cfg = OptimConfig(lr=0.002, schedule=Schedule.cosine, warmup=1, warmup_lr=1e-5)
    found = [rate(cfg, place, 50) for place in range(3)]
    assert found == pytest.approx([1e-5, 0.002, 0.002 * 0.5 * (1 + np.cos(np.pi / 50))])


def test_epochs_of_the_published_recipe_are_the_first_clients_in_every_round() -> None:
    cfg = OptimConfig(
        lr=0.002, schedule=Schedule.cosine, unit=Unit.epochs, warmup=1, warmup_lr=1e-5
    )
    wanted = [1e-5, 2e-3, 1.809e-3, 1.309e-3, 6.91e-4]  # pFedMoAP's code, of the first 5 epochs
    for index in (0, 7):
        rates = Rates(cfg, FederationConfig(local_epochs=5), index, np.array([10, 15]))
        found = np.array([rates.at(step) for step in range(15)])  # [steps, G]
        assert found[:10, 0] == pytest.approx(np.repeat(wanted, 2), rel=1e-3)
        assert found[:, 1] == pytest.approx(np.repeat(wanted, 3), rel=1e-3)
