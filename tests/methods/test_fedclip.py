"""FedCLIP: its gate against torch's own layers, and where it starts."""

import pytest
import torch
from agreement import SECOND, near
from setting import STEPS, Setting
from torch import Tensor, nn

from pfedmma_dist.methods.fedclip import FedCLIPOptions


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
