"""FedPGP: its contrast against the softmax it stands for, and which text passes are run when."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from setting import STEPS, Setting
from tiny import tiny_federation
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.fedpgp import Anchor, FedPGP, FedPGPOptions
from pfedmma_dist.params import Layout

MU, TEMPERATURE = 0.7, 0.3


def slow_penalty(setting: Setting, row: Tensor, anchor: str) -> Tensor:
    """Return the contrastive term of one client, class after class, as a cross-entropy."""
    params = {name: value[0] for name, value in setting.layout.views(row).items()}
    general = setting.text.with_context(params["sigma"][None])[0]
    personal = setting.text.with_context((params["sigma"] + params["u"] @ params["v"])[None])[0]
    words = {"placeholder": "X " * 16 + "{}.", "photo": "a photo of a {}."}[anchor]
    frozen = ClassText(setting.clip, setting.text.names, words).plain
    losses = []
    for z_0, z_s, z_p in zip(frozen, general, personal, strict=True):
        cosines = [F.cosine_similarity(z_0, z_s, dim=0), F.cosine_similarity(z_s, z_p, dim=0)]
        losses.append(F.cross_entropy(torch.stack(cosines) / TEMPERATURE, torch.tensor(0)))
    return MU * torch.stack(losses).mean()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Count the contexts that are run through the text tower, by the classes they are run for."""
    counted: Counter = Counter()
    run = ClassText.with_context

    def counting(self: ClassText, context: Tensor) -> Tensor:
        counted[self.names] += len(context)
        return run(self, context)

    monkeypatch.setattr(ClassText, "with_context", counting)
    return counted


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("anchor", Anchor.__members__)
def test_contrast_equals_the_cross_entropy_of_two_cosines(anchor: str, plain: bool) -> None:
    chosen = {"mu": MU, "temperature": TEMPERATURE, "anchor": Anchor[anchor]}
    setting = Setting("fedpgp", chosen, plain=plain)
    theta = setting.theta.clone().requires_grad_()
    params = setting.layout.views(theta)
    classes = setting.method.classes(params, None, setting.text)
    ours = setting.method.penalty(params, classes, SimpleNamespace(text=setting.text))
    slow = torch.stack([slow_penalty(setting, theta[g : g + 1], anchor) for g in range(3)])
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-12)
    grads = [torch.autograd.grad(x.sum(), theta)[0] for x in (ours, slow)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-12)


def test_a_step_runs_two_passes_and_the_placeholder_once_for_good(passes: Counter) -> None:
    setting = Setting("fedpgp", {})
    setting.text = class_text(setting.clip, setting.text.names, "a photo of a {}.")  # nothing yet
    setting.losses(setting.theta, STEPS[0])
    assert passes[setting.text.names] == 3 * 2 + 1
    setting.train(setting.theta, STEPS)
    assert passes[setting.text.names] == 3 * 2 + 1 + len(STEPS) * 3 * 2


def test_photo_anchor_is_the_zero_shot_classifier_and_takes_no_pass(passes: Counter) -> None:
    setting = Setting("fedpgp", {"anchor": Anchor.photo})
    setting.losses(setting.theta, STEPS[0])
    assert passes[setting.text.names] == 3 * 2


def test_scores_run_the_personal_prompt_alone_once_per_client_and_class_set(
    passes: Counter,
) -> None:
    federation = tiny_federation(FedPGP)
    federation.round(0)
    passes.clear()
    federation.evaluate(full=True)
    assert sorted(passes.values()) == [6, 6]


def test_global_part_is_exchanged_and_the_offset_stays() -> None:
    federation = tiny_federation(FedPGP)
    federation.round(0)
    theta, _ = federation.start(np.arange(6), training=True)
    parts = federation.layout.views(theta)
    assert torch.equal(parts["sigma"][0], parts["sigma"][1])
    assert not torch.equal(parts["u"][0], parts["u"][1])
    assert not torch.equal(parts["v"][0], parts["v"][1])


def test_all_three_parts_start_as_small_noise() -> None:
    layout = Layout(FedPGP(FedPGPOptions(), dims("ViT-B-16")).specs)
    for part in layout.views(layout.template(1)[None]).values():
        np.testing.assert_allclose(part.std(), 0.02, rtol=0.15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_context": 0}, "method.num_context: 0; set 1 or more"),
        ({"bottleneck": 0}, "method.bottleneck: 0; set 1 or more"),
        ({"mu": -1.0}, "method.mu: -1.0; set 0 or more"),
        ({"temperature": 0.0}, "method.temperature: 0.0; set more than 0"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedPGPOptions(**options)
