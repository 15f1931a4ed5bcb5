"""What every method promises, for all of METHODS and every choice it offers; no line per method."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from setting import CASES, CLIENTS, FORWARD, LABELS, STEPS, TRAINED, Setting, of_case
from tiny import NUM_BASE

from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.params import Layout


@pytest.fixture(params=FORWARD, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return CASES[request.param]


@pytest.fixture(params=FORWARD, ids=str)
def setting(request: pytest.FixtureRequest) -> Setting:
    return of_case(request.param)


@pytest.fixture(params=CASES, ids=str)
def any_setting(request: pytest.FixtureRequest) -> Setting:
    """A setting of a method, whatever it shares."""
    return of_case(request.param)


@pytest.fixture(params=[case for case in TRAINED if case in FORWARD], ids=str)
def trained(request: pytest.FixtureRequest) -> Setting:
    """A setting whose method trains something."""
    return of_case(request.param)


def alone(batch: Batch, g: int) -> Batch:
    """Cut one client out of a batch, its padding too."""
    return Batch(**{name: value[g : g + 1] for name, value in vars(batch).items()})


def test_logits_have_a_row_per_client_image_and_class(setting: Setting) -> None:
    logits = setting.usual.logits
    assert logits.shape == (3, *STEPS[0].rows.shape[1:], NUM_BASE)
    assert logits.dtype == setting.dtype
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("case", [case for case in CASES if case not in FORWARD])
def test_what_is_shared_reaches_no_bit_of_a_step(case: str) -> None:
    """So that the cases which choose it may go without the tests of a step."""
    name, chosen = CASES[case]
    usual, other = of_case(name), Setting(name, chosen)
    theirs = other.layout.views(other.theta)
    for spec in usual.layout.specs:
        theirs[spec.name].copy_(usual.layout.views(usual.theta)[spec.name])
    a, b = (one.losses(one.theta, STEPS[0]) for one in (usual, other))
    assert torch.equal(a, b)


def test_cohort_equals_its_clients_one_by_one(setting: Setting) -> None:
    atol = 1e-10
    if setting.layout.num_trained == 0:
        together = setting.usual.logits
        single = [setting.logits(setting.theta[:1], STEPS[0].rows[g : g + 1]) for g in CLIENTS]
        torch.testing.assert_close(together, torch.cat(single), rtol=0, atol=10 * atol)
        return
    together = setting.usual.trained
    for g in CLIENTS:
        own = slice(g, g + 1)
        single = setting.train(setting.theta[own], [alone(b, g) for b in STEPS], CLIENTS[own])
        torch.testing.assert_close(together.theta[own], single.theta, rtol=0, atol=atol)
        torch.testing.assert_close(together.loss[own], single.loss, rtol=0, atol=atol + 1e-6)


def test_numbers_of_a_client_reach_no_bit_of_its_neighbours(trained: Setting) -> None:
    moved = trained.theta.clone()
    moved[0] += torch.linspace(0, 1, moved.shape[1])  # what is equal, a layer norm takes away
    before, after = trained.usual.logits, trained.logits(moved, STEPS[0].rows)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1:], after[1:])
    before, after = trained.usual.gradient, trained.gradient(moved, STEPS[0])
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1:], after[1:])


def test_images_of_a_client_reach_no_bit_of_its_neighbours(setting: Setting) -> None:
    rows = STEPS[0].rows.copy()
    rows[0] = rows[0, ::-1] + 1
    other = replace(STEPS[0], rows=rows)
    before, after = setting.usual.logits, setting.logits(setting.theta, rows)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1:], after[1:])
    if setting.layout.num_trained:
        before, after = setting.usual.gradient, setting.gradient(setting.theta, other)
        assert not torch.equal(before[0], after[0])
        assert torch.equal(before[1:], after[1:])


def test_content_of_padding_reaches_no_bit(trained: Setting) -> None:
    other = [replace(b, rows=np.where(b.weight > 0, b.rows, 0)) for b in STEPS]
    assert any((a.rows != b.rows).any() for a, b in zip(STEPS, other, strict=True))
    a, b = trained.usual.trained, trained.train(trained.theta, other)
    assert torch.equal(a.theta, b.theta)
    assert torch.equal(a.loss, b.loss)


def test_finished_client_keeps_its_bits(trained: Setting) -> None:
    assert [b.active.tolist() for b in STEPS[:2]] == [[True] * 3, [True, False, True]]
    short, whole = trained.train(trained.theta, STEPS[:1]), trained.usual.trained
    assert torch.equal(short.theta[1], whole.theta[1])
    assert not torch.equal(short.theta[0], whole.theta[0])


def test_every_parameter_has_a_gradient(trained: Setting) -> None:
    grads = trained.layout.views(trained.usual.gradient)
    moving = [spec.name for spec in trained.layout.specs if spec.lr_scale]
    assert all((grads[name] != 0).any() for name in moving), grads


def test_loss_falls_on_a_few_images(trained: Setting) -> None:
    theta = trained.start
    batch = replace(STEPS[0], weight=np.ones_like(STEPS[0].weight))
    result = trained.train(theta, [batch] * 4)
    before, after = (trained.losses(rows, batch) for rows in (theta, result.theta))
    assert (after < before).all()


def test_losses_are_one_number_per_client_and_read_parameters_only(setting: Setting) -> None:
    before = setting.theta.clone()
    assert setting.losses(setting.theta, STEPS[0]).shape == (3,)
    assert torch.equal(setting.theta, before)


def test_equal_calls_give_equal_bits(setting: Setting) -> None:
    again = setting.logits(setting.theta, STEPS[0].rows)
    assert torch.equal(setting.usual.logits, again)


def test_plain_form_gives_the_same_logits_and_gradients(case: tuple[str, dict[str, Any]]) -> None:
    slow = Setting(*case, plain=True)
    fast, logits = slow.usual, slow.logits(slow.theta, STEPS[0].rows)
    torch.testing.assert_close(fast.logits, logits, rtol=0, atol=1e-10)
    if slow.layout.num_trained:
        gradient = slow.gradient(slow.theta, STEPS[0])
        torch.testing.assert_close(fast.gradient, gradient, rtol=0, atol=1e-10)


def test_bfloat16_towers_leave_rows_and_logits_in_float32(case: tuple[str, dict]) -> None:
    narrow = Setting(*case, torch.bfloat16)
    logits = narrow.logits(narrow.theta, STEPS[0].rows)
    assert logits.dtype == narrow.theta.dtype == torch.float32
    wide = narrow.usual.logits.float()
    torch.testing.assert_close(logits, wide, rtol=0, atol=0.5)  # of a logit scale of 14
    if narrow.layout.num_trained:
        assert narrow.train(narrow.theta, STEPS[:1]).theta.dtype == torch.float32


def test_clients_start_from_one_row_per_seed(any_setting: Setting) -> None:
    same, other = (Layout(any_setting.method.specs) for _ in range(2))
    assert torch.equal(same.template(1), any_setting.layout.template(1))
    if any_setting.layout.template(1).any():  # a prior starts from zero
        assert not torch.equal(other.template(2), any_setting.layout.template(1))


def test_counts_are_those_of_the_specs(any_setting: Setting) -> None:
    specs = [spec for spec in any_setting.method.specs if not spec.frozen]
    sizes = {spec.name: int(np.prod(spec.shape)) for spec in specs}
    shared = sum(sizes[spec.name] for spec in specs if spec.shared)
    layout = any_setting.layout
    assert (layout.num_trained, layout.num_shared) == (sum(sizes.values()), shared)
    cost = any_setting.method.exchange(layout, layout.template(1), 1).cost()
    if any_setting.method.counts and shared:  # it sends sums, of which what is shared is made
        assert cost.once and cost.up >= cost.down == shared
    elif not any_setting.method.goes_on:  # a part of it at a time may go up, and more come down
        assert 0 < cost.up <= shared <= cost.down
    else:
        assert cost.up == shared


def test_frozen_numbers_are_one_for_all_clients_and_follow_from_the_seed(
    any_setting: Setting,
) -> None:
    spec_of = {spec.name: spec for spec in any_setting.method.specs if spec.frozen}
    names = spec_of.keys()
    assert any_setting.layout.frozen.keys() == names
    params = any_setting.layout.views(any_setting.theta)
    again, other = (any_setting.method.frozen(seed, any_setting.clip) for seed in (1, 2))
    for name in names:
        assert all(torch.equal(own, again[name].to(own)) for own in params[name])
        own = spec_of[name].draw(1)  # what is not drawn is the CLIP's own
        assert torch.equal(again[name], other[name]) != torch.equal(again[name], own)
        assert not params[name].requires_grad


def test_loss_among_fewer_classes_is_lower_and_finite(trained: Setting) -> None:
    def gradient(columns: np.ndarray | None) -> tuple[torch.Tensor, torch.Tensor]:
        trainer = trained.trainer
        trainer.columns_of = None if columns is None else columns.__getitem__
        return trainer.gradient(trained.theta, trained.prepared(CLIENTS), STEPS[0])

    every, own = np.ones((3, NUM_BASE), bool), np.zeros((3, NUM_BASE), bool)
    np.put_along_axis(own, LABELS[STEPS[0].rows], True, axis=1)
    own[0] = True
    assert own.sum(axis=1).tolist() == [4, 3, 3]
    default, all_of_them, fewer = map(gradient, (None, every, own))
    assert all(torch.equal(a, b) for a, b in zip(default, all_of_them, strict=True))
    assert (fewer[0][1:] < default[0][1:]).all()
    assert torch.isfinite(fewer[1]).all()
    assert all(torch.equal(a[0], b[0]) for a, b in zip(default, fewer, strict=True))
