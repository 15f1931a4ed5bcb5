"""pFedMMA against the layers of MMA, where the branch stands between two that scale gradients."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from setting import LABELS, STEPS, Setting
from torch import Tensor

from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.tower import Branch
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.params import Layout

ALPHA, BLOCKS, RANK = 0.05, 2, 4
OPTIONS = {"alpha": ALPHA, "blocks": BLOCKS, "rank": RANK}


class ScaleGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor (MMA)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


def mma_branch(params: dict[str, Tensor], tower: str, start: int, bias: bool) -> Branch:
    """Return the adapters of one tower for one client, as MMA writes them."""

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, params[name][0], params[f"{name}.bias"][0] if bias else None)

    def branch(block: int, h: Tensor) -> Tensor:
        level = block - start
        x = ScaleGradient.apply(h, ALPHA)
        x = F.relu(linear(x, f"down.{level}.{tower}"))
        x = F.relu(linear(x, f"mix.{level}"))
        return ScaleGradient.apply(ALPHA * linear(x, f"up.{level}.{tower}"), 1 / ALPHA)

    return branch


@pytest.mark.parametrize("bias", [False, True])
def test_gradients_are_those_of_mmas_gradient_scaling_layers(bias: bool) -> None:
    setting = Setting("pfedmma", OPTIONS | {"bias": bias}, plain=True)
    clip, kind = setting.clip, setting.method.images
    row = setting.theta[:1].clone().requires_grad_()
    params = setting.layout.views(row)
    batch, rows = STEPS[0], STEPS[0].rows[0]
    start = clip.text.depth - BLOCKS
    images = setting.features.rows(kind, (rows, None))
    images = clip.encode_image(images, kind, mma_branch(params, "image", kind.start, bias))
    classes = setting.text.branched(mma_branch(params, "text", start, bias), start, 1)[0]
    loss = F.cross_entropy(clip.scale * images @ classes.T, torch.from_numpy(LABELS[rows]))
    expected = torch.autograd.grad(loss, row)[0]

    assert batch.weight[0].all()
    ours = setting.gradient(setting.theta, batch)[:1] * setting.layout.spread("grad_scale")
    assert torch.allclose(setting.losses(setting.theta, batch)[0], loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def test_alpha_is_the_size_of_the_branch_and_not_of_its_steps() -> None:
    large, small = (Setting("pfedmma", OPTIONS | {"alpha": alpha}) for alpha in (1e-3, 1e-5))
    steps = [
        (setting.train(setting.theta, STEPS).theta - setting.theta).norm().item()
        for setting in (large, small)
    ]
    assert steps[0] == pytest.approx(steps[1], rel=0.05)


@pytest.mark.parametrize(("name", "fan_out"), [("down", 32), ("mix", 32), ("up", 768)])
def test_adapters_start_by_kaiming_fan_out(name: str, fan_out: int) -> None:
    method = PFedMMA(PFedMMAOptions(), dims("ViT-B-16"))
    layout = Layout(method.specs)
    started = layout.views(layout.template(1)[None])
    side = "" if name == "mix" else ".image"
    drawn = torch.cat([started[f"{name}.{level}{side}"].flatten() for level in range(3)])
    np.testing.assert_allclose(drawn.std(), (2 / fan_out) ** 0.5, rtol=0.03)
    assert abs(drawn.mean()) < 0.03 * drawn.std()


def test_biases_start_at_zero() -> None:
    method = PFedMMA(PFedMMAOptions(bias=True), dims("ViT-B-16"))
    layout = Layout(method.specs)
    started = layout.views(layout.template(1)[None])
    assert all((x == 0).all() == name.endswith(".bias") for name, x in started.items())


def test_no_two_matrices_start_alike() -> None:
    layout = Layout(PFedMMA(PFedMMAOptions(), dims("ViT-B-16")).specs)
    first = [value.flatten()[0].item() for value in layout.views(layout.template(1)[None]).values()]
    assert len(set(first)) == len(first) == 3 * 5


def test_published_protocol_trains_everybody_first() -> None:
    assert PFedMMA.first_round_all
    assert not Method.first_round_all


def test_projection_is_one_matrix_for_both_towers() -> None:
    setting = Setting("pfedmma", OPTIONS)
    moved = setting.theta.clone()
    setting.layout.views(moved)["mix.0"].add_(10)  # a view: moves the row
    texts, pictures = [], []
    for theta in (setting.theta, moved):
        params = setting.layout.views(theta)
        texts.append(setting.method.classes(params, None, setting.text))
        features = setting.features.rows(setting.method.images, (STEPS[0].rows.reshape(-1), None))
        images = features.unflatten(0, STEPS[0].rows.shape)
        pictures.append(setting.method.logits(params, texts[0], images, setting.clip))
    assert not torch.equal(*texts)
    assert not torch.equal(*pictures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "method.blocks: 0; set 1 or more"),
        ({"rank": 0}, "method.rank: 0; set 1 or more"),
        ({"alpha": 0.0}, "method.alpha: 0.0; set a positive scale"),
        ({"blocks": 13}, "method.blocks: 13; the smaller tower has 12"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PFedMMA(PFedMMAOptions(**options), dims("ViT-B-16"))


def test_image_tower_that_is_no_vit_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="clip.model is no Vision Transformer; choose a ViT"):
        PFedMMA(PFedMMAOptions(), dims("RN50"))
