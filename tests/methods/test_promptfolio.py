"""PromptFolio: its two ends are a common prompt and a client's own."""

import pytest
import torch
from setting import STEPS, Setting

from pfedmma_dist.methods.promptfolio import PromptFolioOptions


@pytest.mark.parametrize(("theta", "part"), [(0.0, "common"), (1.0, "own")])
def test_all_weight_on_one_prompt_is_that_prompt_alone(theta: float, part: str) -> None:
    setting, rows = Setting("promptfolio", {"theta": theta}), STEPS[0].rows
    context = setting.layout.views(setting.theta)[part]
    alone = Setting("promptfl", {}).logits(context.flatten(1), rows)
    torch.testing.assert_close(setting.logits(setting.theta, rows), alone, rtol=0, atol=1e-10)


def test_mixture_is_shorter_than_a_unit_vector() -> None:
    setting = Setting("promptfolio", {"theta": 0.5})
    params = setting.layout.views(setting.theta)
    lengths = setting.method.classes(params, None, setting.text).norm(dim=2)
    assert (lengths < 1).all()


@pytest.mark.parametrize("theta", [-0.1, 1.5])
def test_weight_out_of_range_is_refused(theta: float) -> None:
    with pytest.raises(ValueError, match=rf"^method\.theta: {theta}; set a share from 0 to 1"):
        PromptFolioOptions(theta=theta)
