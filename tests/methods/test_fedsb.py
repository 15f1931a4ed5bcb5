"""Fed-SB: merged weights, singular vectors, and the exact mean of products."""

from typing import Any

import numpy as np
import pytest
import torch
from agreement import SECOND, near
from setting import STEPS, Setting
from test_lora import merged_loss
from tiny import tiny_clip, tiny_federation

from pfedmma_dist.clip.load import dims
from pfedmma_dist.methods.fedsb import FedSB, FedSBOptions, Init

SMALL = {"blocks": 2, "rank": 3}


@pytest.mark.parametrize("init", Init)
@pytest.mark.parametrize("letters", ["qv", "ko"])
def test_loss_and_gradient_are_those_of_merged_weights(letters: str, init: Init) -> None:
    setting = Setting("fedsb", SMALL | {"projections": letters, "init": init})
    row = setting.theta[:1].clone().requires_grad_()
    params = setting.layout.views(row)

    def product(place: str) -> torch.Tensor:
        parts = [params[f"{factor}.{place}"][0] for factor in "BRA"]
        return parts[0] @ parts[1] @ parts[2]

    loss = merged_loss(setting, product, letters)
    ours = setting.losses(setting.theta, STEPS[0])[0]
    near(setting.name, SECOND, "loss", ours, loss, atol=1e-10)
    ours = setting.gradient(setting.theta, STEPS[0])[:1]
    slow = torch.autograd.grad(loss, row)[0]
    near(setting.name, SECOND, "gradient", ours, slow, atol=1e-10)


def test_factors_of_the_weight_are_its_first_singular_vectors() -> None:
    clip = tiny_clip(torch.float64)
    method = FedSB(FedSBOptions(**SMALL, init=Init.svd_of_weight), clip.dims)
    frozen = {name: x.double() for name, x in method.frozen(1, clip).items()}
    weight = clip.text.blocks[-1].qkv_weight[2 * 64 :]  # values of the top block
    left, right = frozen["B.1.text.v"], frozen["A.1.text.v"]
    torch.testing.assert_close(right @ right.T, torch.eye(3).double(), rtol=0, atol=1e-6)
    found = left.T @ weight @ right.T
    wanted = torch.linalg.svdvals(weight)[:3].diag()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_mean_of_r_is_the_mean_of_the_products() -> None:
    federation = tiny_federation(FedSB, options=FedSBOptions(blocks=1, rank=2))
    federation.round(0)
    assert federation.exchange.shared.any()
    params = federation.layout.views(torch.randn(3, federation.layout.num_trained))
    up, down = (params[f"{factor}.0.image.q"] for factor in "BA")
    inner = params["R.0.image.q"]
    assert torch.equal(up[0], up[2]) and torch.equal(down[0], down[2])
    torch.testing.assert_close((up @ inner @ down).mean(dim=0), up[0] @ inner.mean(0) @ down[0])


def test_drawn_factors_have_rows_and_columns_of_about_one() -> None:
    specs = FedSB(FedSBOptions(blocks=1), dims("ViT-B-16")).specs
    drawn = {spec.name: spec.draw(1) for spec in specs}
    for name, axis in (("A.0.image.q", 1), ("B.0.text.v", 0)):
        np.testing.assert_allclose(drawn[name].norm(dim=axis), 1, atol=0.15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 13}, "method.blocks: 13; the smaller tower has 12"),
        ({"rank": 0}, "method.rank: 0; set 1 or more"),
        ({"rank": 513}, "method.rank: 513; the narrower tower has width 512"),
        ({"projections": "qq"}, "method.projections: 'qq'; write some of the letters"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedSB(FedSBOptions(**options), dims("ViT-B-16"))
