"""DP-FPL: gradients against leaves u and v, and what a step of them makes of the prompt."""

import numpy as np
import pytest
import torch
from agreement import SECOND, near
from setting import STEPS, Setting
from torch import Tensor

from pfedmma_dist.methods.dpfpl import DPFPL, DPFPLOptions, Factoring


def factors(own: Tensor, rank: int, factoring: Factoring) -> tuple[Tensor, Tensor, Tensor]:
    """Return leaves u and v of prompts [G, n, W], and the rest."""
    u, s, v = map(torch.from_numpy, np.linalg.svd(own.numpy(), full_matrices=False))
    u, v = u[:, :, :rank], v[:, :rank]
    if factoring is Factoring.as_paper:
        v = s[:, :rank, None] * v
    return u.clone().requires_grad_(), v.clone().requires_grad_(), own - u @ v


@pytest.mark.parametrize("factoring", Factoring)
def test_gradient_is_the_one_that_factors_hand_on(factoring: Factoring) -> None:
    setting = Setting("dpfpl", {"rank": 3, "factoring": factoring})
    ours = setting.layout.views(setting.gradient(setting.theta, STEPS[0]))
    params = setting.layout.views(setting.theta)
    u, v, rest = factors(params["own"], 3, factoring)
    common = params["common"].clone().requires_grad_()
    # PromptFL's loss at the sum of all three
    plain = Setting("promptfl", {})
    loss = plain.losses((common + u @ v + rest).flatten(1), STEPS[0]).sum()
    g, g_u, g_v = torch.autograd.grad(loss, (common, u, v))
    expected = g_u @ v + u @ g_v
    if factoring is Factoring.as_released:
        expected = (expected + u @ u.mT @ g_u @ v) / 10
    torch.testing.assert_close(ours["common"], g, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours["own"], expected, rtol=0, atol=1e-10)
    assert (expected - g).abs().max() > 1e-4


def test_step_of_the_prompt_is_that_of_its_nearest_factors_to_first_order() -> None:
    setting = Setting("dpfpl", {"rank": 3})
    own = setting.layout.views(setting.theta)["own"]
    u, v, rest = factors(own, 3, Factoring.as_paper)
    values = np.linalg.svd(own.numpy(), compute_uv=False)
    tails = np.linalg.norm(values[:, 3:], axis=1)
    np.testing.assert_allclose(rest.detach().flatten(1).norm(dim=1).numpy(), tails, atol=1e-12)
    plain = Setting("promptfl", {})
    common = setting.layout.views(setting.theta)["common"]
    loss = plain.losses((common + u @ v + rest).flatten(1), STEPS[0]).sum()
    g_u, g_v = torch.autograd.grad(loss, (u, v))
    gradient = setting.layout.views(setting.gradient(setting.theta, STEPS[0]))["own"]
    for lr in (1e-3, 1e-4):
        after = (u - lr * g_u) @ (v - lr * g_v) + rest
        second_order = lr**2 * (g_u @ g_v).abs().max()
        assert (after - (own - lr * gradient)).abs().max() <= second_order + 1e-15


def test_scores_are_those_of_the_sum() -> None:
    setting, rows = Setting("dpfpl", {}), STEPS[0].rows
    params = setting.layout.views(setting.theta)
    alone = Setting("promptfl", {}).logits((params["common"] + params["own"]).flatten(1), rows)
    near(DPFPL.name, SECOND, "logits", setting.logits(setting.theta, rows), alone, atol=1e-10)


def test_rank_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^method\.rank: 0; set 1 or more"):
        DPFPLOptions(rank=0)
