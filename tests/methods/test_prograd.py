"""ProGrad: what is taken out of a gradient, by client and tensor, and what it gives way to."""

import pytest
import torch
from setting import STEPS, Setting

from pfedmma_dist.federation.yielding import yielding
from pfedmma_dist.methods.prograd import ProGradOptions
from pfedmma_dist.params import Layout, ParamSpec, zeros

TWO = Layout((ParamSpec("a", (2,), zeros), ParamSpec("b", (1,), zeros, shared=True)))


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_what_points_against_the_other_gradient_is_taken_out_of_each_client_and_tensor(
    share: float,
) -> None:
    grad = torch.tensor([[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]])
    other = torch.tensor([[-2.0, 0.0, 3.0], [2.0, 0.0, -3.0]])
    # of client 0 the first tensor is obtuse, along -x; of client 1 the second, all of it
    expected = torch.tensor([[1.0 - share, 1.0, 2.0], [1.0, 1.0, 2.0 - 2.0 * share]])
    torch.testing.assert_close(yielding(grad, other, TWO, share), expected, rtol=0, atol=0)


@pytest.mark.parametrize("size", [0.0, 1e-30])
def test_second_gradient_of_almost_nothing_leaves_finite_numbers(size: float) -> None:
    grad = torch.tensor([[1.0, 1.0, 1.0]])
    found = yielding(grad, torch.tensor([[-size, 0.0, 0.0]]), TWO, 1.0)
    torch.testing.assert_close(found, torch.tensor([[float(size == 0), 1.0, 1.0]]))


def test_gradient_in_training_is_at_no_obtuse_angle_to_the_distillations() -> None:
    setting, plain = (Setting("prograd", {"strength": s}) for s in (1.0, 0.0))
    obtuse = 0
    for batch in STEPS:
        leaf = setting.theta.clone().requires_grad_()
        _, second = setting.trainer._both(leaf, None, setting.trainer._beside(leaf, batch), ())
        (b,) = torch.autograd.grad(second.sum(), leaf)
        _, before = plain.trainer.gradient(setting.theta, None, batch)
        _, after = setting.trainer.gradient(setting.theta, None, batch)
        for g in range(3):
            against = float(before[g] @ b[g]) < 0
            obtuse += against and bool(batch.active[g])
            if batch.active[g]:
                assert float(after[g] @ b[g]) > -1e-9
                assert torch.equal(before[g], after[g]) != against
    assert obtuse


def test_strength_none_is_promptfl() -> None:
    ours, plain = Setting("prograd", {"strength": 0.0}), Setting("promptfl", {})
    assert torch.equal(ours.theta, plain.theta)
    a, b = (one.train(one.theta, STEPS).theta for one in (ours, plain))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "method.temperature: 0.0; set more than 0"),
        ({"strength": -1.0}, "method.strength: -1.0; set 0 or more"),
        ({"ctx_init": " "}, "method.ctx_init: no word in it"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProGradOptions(**options)
