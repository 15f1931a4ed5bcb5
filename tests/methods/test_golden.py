"""The methods against vectors recorded from their published code, through the code that trains."""

import re

import numpy as np
import pytest
import torch
from tiny import golden

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import class_text
from pfedmma_dist.config import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.local import client_losses, train_cohort
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions
from pfedmma_dist.params import Layout

INPUTS = golden("inputs")
NAMES = tuple(name.replace("_", " ") for name in INPUTS["classnames"].tolist())
LABELS = INPUTS["labels"].astype(np.int64)
COHORTS = [1, 3]


class GoldenFeatures:
    """The six golden images, frozen on demand."""

    def __init__(self, clip: FrozenCLIP) -> None:
        self.clip = clip
        self.pixels = torch.from_numpy(INPUTS["images"])

    def rows(self, kind, views):
        return self.clip.freeze(self.pixels[views[0]], (kind,))[0]


def batch_of(num_clients: int) -> Batch:
    shape = (num_clients, len(LABELS))
    return Batch(
        rows=np.tile(np.arange(len(LABELS)), (num_clients, 1)),
        views=np.zeros(shape, np.int64),
        weight=np.ones(shape, np.float32),
        active=np.ones(num_clients, bool),
    )


def rows_from(layout: Layout, arrays: dict, prefix: str, key_of, num_clients: int) -> torch.Tensor:
    """Put golden parameters into theta [G, P + S]."""
    flat = [torch.from_numpy(arrays[f"{prefix}/{key_of(s.name)}"]).flatten() for s in layout.specs]
    return torch.cat(flat).repeat(num_clients, 1)


def check(method: Method, clip: FrozenCLIP, arrays: dict, key_of, num_clients: int) -> None:
    """Compare logits, loss, gradient, and parameters after one and three steps."""
    layout = Layout(method.specs)
    text, features = class_text(clip, NAMES, "a photo of a {}."), GoldenFeatures(clip)
    theta = rows_from(layout, arrays, "init", key_of, num_clients)
    batch = batch_of(num_clients)
    label_of = LABELS.__getitem__

    params = layout.views(theta)
    images = features.rows(method.images, (batch.rows.reshape(-1), None))
    images = images.unflatten(0, batch.rows.shape)
    logits = method.logits(params, method.classes(params, None, text), images, clip)
    expected = torch.from_numpy(arrays["logits"])
    for own in logits:
        torch.testing.assert_close(own, expected, atol=2e-5, rtol=0)

    leaf = theta.clone().requires_grad_()
    loss = client_losses(method, layout, leaf, None, text, features, label_of, batch)
    np.testing.assert_allclose(loss.detach().numpy(), arrays["loss"], atol=2e-5)
    loss.sum().backward()
    grad = leaf.grad * layout.spread("grad_scale")
    expected = rows_from(layout, arrays, "grad", key_of, num_clients)
    torch.testing.assert_close(grad, expected, atol=1e-5, rtol=1e-4)

    optim = OptimConfig(lr=float(arrays["lr"]), momentum=0.9, weight_decay=5e-4)
    for steps in (1, 3):
        result = train_cohort(
            method, layout, theta, None, text, features, label_of, [batch] * steps, optim
        )
        expected = rows_from(layout, arrays, f"step{steps}", key_of, num_clients)
        torch.testing.assert_close(result.theta, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("num_clients", COHORTS)
@pytest.mark.parametrize(
    "name",
    [
        "pfedmma_nobias_s0.001",
        "pfedmma_bias_s0.001",
        "pfedmma_nobias_s0.5",
        "pfedmma_nobias_s0.5_all",
    ],
)
def test_pfedmma_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    arrays = golden(name)
    lowest = int(arrays["adapter_start"])
    options = PFedMMAOptions(
        blocks=4 - lowest + 1, rank=8, alpha=float(arrays["scale"]), bias="_bias_" in name
    )

    def key_of(spec: str) -> str:
        part, level, tower, bias = re.fullmatch(
            r"(\w+)\.(\d+)(?:\.(image|text))?(\.bias)?", spec
        ).groups()
        leaf = "bias" if bias else "weight"
        layer = int(level) + lowest
        if part == "mix":
            return f"adapter_learner.shared_adapter.{layer}.0.{leaf}"
        side = {"image": "visual", "text": "text"}[tower]
        inner = {"down": "down.0", "up": "up"}[part]
        return f"adapter_learner.{side}_adapter.{layer}.{inner}.{leaf}"

    check(PFedMMA(options, golden_clip.dims), golden_clip, arrays, key_of, num_clients)


@pytest.mark.parametrize("num_clients", COHORTS)
def test_promptfl_equals_the_published_code(golden_clip: FrozenCLIP, num_clients: int) -> None:
    method = PromptFL(PromptFLOptions(), golden_clip.dims)
    arrays = golden("promptfl")
    check(method, golden_clip, arrays, lambda spec: "prompt_learner.ctx", num_clients)


def test_zero_shot_equals_the_published_code(golden_clip: FrozenCLIP) -> None:
    arrays = golden("zeroshot")
    method = ZeroShot(ZeroShotOptions(), golden_clip.dims)
    text = class_text(golden_clip, NAMES, "a photo of a {}.")
    images = GoldenFeatures(golden_clip).rows(method.images, (np.arange(6), None))[None]
    logits = method.logits({}, method.classes({}, None, text), images, golden_clip)[0]
    torch.testing.assert_close(logits, torch.from_numpy(arrays["logits"]), atol=2e-5, rtol=0)


def test_dims_are_those_of_the_golden_model(golden_clip: FrozenCLIP) -> None:
    assert golden_clip.dims == Dims(
        embed_dim=32,
        image_size=32,
        text_width=64,
        text_blocks=4,
        image_width=128,
        image_blocks=4,
        num_patches=16,
    )
