"""What was recorded beside logits, gradients and steps: scores after them, plans, own classes."""

import re

import golden_clip
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agreement import near
from test_fedtpg import key_of as tpg_key
from test_golden import LABELS, NAMES, GoldenFeatures, batch_of, rows_from
from tiny import golden

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.corrections.correction import Start
from pfedmma_dist.federation.corrections.proximal import Proximal
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.fedotp import FedOTP, FedOTPOptions
from pfedmma_dist.methods.fedtpg import FedTPG, FedTPGOptions
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.methods.transport import Transport, transport_plan
from pfedmma_dist.params import Layout

TEMPLATE = "a photo of a {}."
PLAIN = pytest.mark.parametrize("golden_clip", ["plain", "shortcuts"], indirect=True)


@PLAIN
@pytest.mark.parametrize("name", ["pfedmma_nobias_s0.5", "pfedmma_bias_s0.001"])
def test_scores_behind_steps_are_recorded_fresh_and_with_stale_class_vectors(
    golden_clip: FrozenCLIP, name: str
) -> None:
    """Stale: images by the trained adapters, classes by those before training."""
    arrays = golden(name)
    lowest, bias = int(arrays["adapter_start"]), "_bias_" in name
    options = PFedMMAOptions(blocks=5 - lowest, rank=8, alpha=float(arrays["scale"]), bias=bias)
    method = PFedMMA(options, golden_clip.dims)

    def key_of(spec: str) -> str:
        pattern = r"(\w+)\.(\d+)(?:\.(image|text))?(\.bias)?"
        part, level, tower, end = re.fullmatch(pattern, spec).groups()
        leaf, layer = "bias" if end else "weight", int(level) + lowest
        if part == "mix":
            return f"adapter_learner.shared_adapter.{layer}.0.{leaf}"
        side, inner = {"image": "visual"}.get(tower, tower), {"down": "down.0"}.get(part, part)
        return f"adapter_learner.{side}_adapter.{layer}.{inner}.{leaf}"

    layout, features = Layout(method.specs), GoldenFeatures(golden_clip)
    text = class_text(golden_clip, NAMES, TEMPLATE)
    theta = rows_from(layout, arrays, "init", key_of, 1)
    optim = OptimConfig(lr=float(arrays["lr"]), momentum=0.9, weight_decay=5e-4)
    trainer = LocalTrainer(method, layout, text, features, LABELS.__getitem__, optim)
    after = trainer.train(theta, theta[:, :0], None, [batch_of(1)] * 3).theta
    images = features.rows(method.images, (np.arange(len(LABELS)), None))[None]
    found = {
        kind: method.logits(
            layout.views(after), method.classes(layout.views(row), None, text), images, golden_clip
        )[0]
        for kind, row in {"fresh": after, "stale_cache": theta}.items()
    }
    for kind, logits in found.items():
        near(
            method.name, arrays, f"scores, {kind}", logits, arrays[f"eval_after3_{kind}"], atol=5e-5
        )
    apart = np.abs(arrays["eval_after3_fresh"] - arrays["eval_after3_stale_cache"]).max()
    assert apart > 1e-3  # or one would do for both


@PLAIN
def test_client_that_knows_three_names_alone_has_their_context_and_softmax(
    golden_clip: FrozenCLIP,
) -> None:
    arrays, method = golden("fedtpg"), FedTPG(FedTPGOptions(), golden_clip.dims)
    layout = Layout(method.specs)
    own = arrays["own_classes"].astype(int).tolist()
    text = class_text(golden_clip, tuple(NAMES[label] for label in own), TEMPLATE)
    rows = arrays["own_samples"].astype(int)
    images = GoldenFeatures(golden_clip).rows(method.images, (rows, None))[None]
    theta = rows_from(layout, arrays, "init", tpg_key, 1).requires_grad_()
    params = layout.views(theta)
    logits = method.logits(params, method.classes(params, None, text), images, golden_clip)[0]
    near(method.name, arrays, "logits, own classes", logits, arrays["own_logits"], atol=2e-5)
    labels = torch.tensor([own.index(label) for label in LABELS[rows]])
    loss = F.cross_entropy(logits, labels)
    near(method.name, arrays, "loss, own classes", loss, arrays["own_loss"], atol=2e-5)
    loss.backward()
    grad = layout.views(theta.grad)["asked"][0]
    expected = arrays["own_grad_soft_prompt"]
    near(method.name, arrays, "gradient, own classes", grad, expected, atol=1e-5, rtol=1e-4)


@PLAIN
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fedotp_cot_tight", {"threshold": 1e-9, "max_iter": 1000}),
        ("fedotp_cot_full", {"gamma": 1.0}),
        ("fedotp_sinkhorn", {"ot": Transport.sinkhorn}),
    ],
)
def test_plans_are_those_of_the_published_code(
    golden_clip: FrozenCLIP, name: str, options: dict
) -> None:
    arrays, chosen = golden(name), FedOTPOptions(**options)
    method = FedOTP(chosen, golden_clip.dims)
    prompts = torch.from_numpy(arrays["init/prompt_learner.ctx"])
    vectors = class_text(golden_clip, NAMES, TEMPLATE).with_context(prompts)  # [N, C, D]
    tokens = torch.from_numpy(arrays["image_tokens"])[1:].movedim(0, 1)  # [B, M, D], without CLS
    patches = F.normalize(tokens, dim=2)
    similarity = torch.einsum("kcd,bmd->kcbm", vectors, patches)[None]
    plan = transport_plan(similarity.detach(), chosen)[0].permute(2, 1, 3, 0).flatten(0, 1)
    near(method.name, arrays, "plan", plan, arrays["plan"], atol=2e-6)
    mass = torch.full((len(plan),), chosen.gamma if chosen.ot is Transport.unbalanced else 1.0)
    torch.testing.assert_close(plan.sum(dim=(1, 2)), mass, atol=1e-5, rtol=0)


def test_proximal_term_has_the_recorded_value_and_the_gradient_that_it_lacked() -> None:
    arrays = golden("promptfl")
    method = PromptFL(PromptFLOptions(), golden_clip.frozen().dims)
    theta = torch.from_numpy(arrays["init/prompt_learner.ctx"]).flatten()[None]
    term = Proximal(Layout(method.specs), 0.5)
    start = Start(torch.zeros_like(theta), theta[:, :0], torch.ones(1), None)
    found = float(term.loss(theta, start)) + float(arrays["loss"])
    assert found == pytest.approx(float(arrays["fedprox_mu0p5_zeroglobal_loss"]), abs=2e-6)
    key = "prompt_learner.ctx"
    np.testing.assert_allclose(arrays[f"fedprox_code_grad/{key}"], arrays[f"grad/{key}"], atol=1e-7)
    assert torch.equal(term.pull(theta, start), 0.5 * theta)
