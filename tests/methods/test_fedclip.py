"""FedCLIP: its gate against torch's own layers and the published one, and where it starts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agreement import SECOND, Golden, near
from setting import STEPS, Setting
from test_golden import FORMS, LABELS, NAMES, GoldenFeatures, check, rows_from
from tiny import golden
from torch import Tensor, nn

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.fedclip import FedCLIP, FedCLIPOptions
from pfedmma_dist.params import Layout


def slow_logits(setting: Setting, g: int, row: Tensor, norm: float) -> Tensor:
    """Return the logits [B, C] of one client by a stack of torch's modules."""
    params = {name: value[0] for name, value in setting.layout.views(row[None]).items()}
    width = setting.clip.dims.embed_dim
    gate = nn.Sequential(
        nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width), nn.Softmax(dim=1)
    ).to(row.dtype)
    weights = {"0.weight": "first", "0.bias": "first.bias"}
    weights |= {"2.weight": "second", "2.bias": "second.bias"}
    weights = {name: params[ours] for name, ours in weights.items()}
    raw = norm * setting.features.rows(setting.method.images, (STEPS[0].rows[g], None))
    out = torch.func.functional_call(gate, weights, (raw,)) * raw
    out = out / out.norm(dim=1, keepdim=True)
    return setting.clip.scale * out @ setting.text.plain.T


@pytest.mark.parametrize("norm", [1.0, 10.0])
def test_logits_and_gradients_are_those_of_torchs_layers(norm: float) -> None:
    setting = Setting("fedclip", {"feature_norm": norm})
    theta = setting.theta.clone().requires_grad_()
    ours = setting.logits(theta, STEPS[0].rows)
    slow = torch.stack([slow_logits(setting, g, row, norm) for g, row in enumerate(theta)])
    near(setting.name, SECOND, "logits", ours, slow, atol=1e-12)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0)).to(ours)
    grads = [torch.autograd.grad((x * weight).sum(), theta)[0] for x in (ours, slow)]
    near(setting.name, SECOND, "gradient", *grads, atol=1e-12)


def test_gate_without_a_preference_leaves_the_feature_alone() -> None:
    setting, reference = Setting("fedclip", {}), Setting("zero_shot", {})
    untouched = reference.logits(reference.theta, STEPS[0].rows)
    level = setting.logits(torch.zeros_like(setting.theta), STEPS[0].rows)
    torch.testing.assert_close(level, untouched, rtol=0, atol=1e-12)


def test_length_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="method.feature_norm: 0.0; set a length"):
        FedCLIPOptions(feature_norm=0.0)


class RawFeatures(FedCLIP):
    """The gate reads CLIP's features as they are, as published: of the recorded images alone."""

    def __init__(self, clip: FrozenCLIP, arrays: Golden) -> None:
        super().__init__(FedCLIPOptions(), clip.dims)
        raw = torch.from_numpy(arrays["image_features"])
        self.feature_norm = torch.linalg.vector_norm(raw, dim=1)[:, None]  # [B, 1]


def key_of(spec: str) -> str:
    """Return the published name of a parameter."""
    layer, *bias = spec.split(".")
    return f"img_adap.{('first', 'second').index(layer) * 2}.{bias[0] if bias else 'weight'}"


@FORMS
def test_gate_on_raw_features_equals_the_published_code(
    golden_clip: FrozenCLIP, num_clients: int
) -> None:
    arrays = golden("fedclip_classes")
    check(RawFeatures(golden_clip, arrays), golden_clip, arrays, key_of, num_clients)


@FORMS
@pytest.mark.parametrize("name", ["fedclip_contrastive", "fedclip_contrastive_adam"])
def test_gate_in_the_loss_inside_the_batch_equals_the_published_steps(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    """The texts are those of the images' classes, and image i belongs to text i."""
    arrays, features = golden(name), GoldenFeatures(golden_clip)
    method = RawFeatures(golden_clip, arrays)
    layout, text = Layout(method.specs), class_text(golden_clip, NAMES, "a photo of a {}.")
    theta = rows_from(layout, arrays, "init", key_of, num_clients).requires_grad_()
    images = features.rows(method.images, (np.arange(len(LABELS)), None))
    images = images.expand(num_clients, *images.shape)
    target = torch.arange(len(LABELS))

    def among_texts() -> Tensor:
        vectors = method.classes(layout.views(theta), None, text)[:, LABELS]
        return method.logits(layout.views(theta), vectors, images, golden_clip)

    expected = torch.from_numpy(arrays["logits_per_image"])
    own = {"momentum": 0.9, "weight_decay": 5e-4}
    if name.endswith("adam"):
        own = {"betas": tuple(arrays["betas"].tolist()), "eps": float(arrays["eps"])}
        own["weight_decay"] = float(arrays["weight_decay"])
    rule = torch.optim.Adam if name.endswith("adam") else torch.optim.SGD
    optimiser = rule([theta], lr=float(arrays["lr"]), **own)
    for step in range(3):
        logits = among_texts()
        both = [(F.cross_entropy(x, target) + F.cross_entropy(x.mT, target)) / 2 for x in logits]
        optimiser.zero_grad()
        torch.stack(both).sum().backward()
        if step == 0:
            near(method.name, arrays, "logits", logits, expected.expand_as(logits), atol=2e-5)
            grad = rows_from(layout, arrays, "grad", key_of, num_clients)
            near(method.name, arrays, "gradient", theta.grad, grad, atol=1e-5, rtol=1e-4)
        found = torch.stack(both).detach()
        np.testing.assert_allclose(found, float(arrays["losses"][step]), atol=2e-5)
        optimiser.step()
        if step in (0, 2):
            rows = rows_from(layout, arrays, f"step{step + 1}", key_of, num_clients)
            near(method.name, arrays, f"step {step + 1}", theta, rows, atol=5e-6)
