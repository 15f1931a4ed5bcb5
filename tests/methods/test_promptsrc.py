"""PromptSRC against vectors recorded from published code: its terms, its mean over rounds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agreement import near
from setting import STEPS, Setting
from test_golden import LABELS, NAMES, GoldenFeatures, batch_of, check, in_turn, rows_from
from test_golden_prompted import prompted_key
from tiny import golden

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.promptsrc import PromptSRC, PromptSRCOptions
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

FEW = ["a photo of a {}.", "a photo of {}.", "photo of a {}.", "{}."]
"""The templates that the vectors were recorded with."""
TERMS = {"text_weight": "l1_text", "image_weight": "l1_image", "logit_weight": "kl"}
NONE = dict.fromkeys(TERMS, 0.0)


def recorded(clip: FrozenCLIP, depth: int, num_rounds: int = 100, **options: object) -> PromptSRC:
    own = PromptSRCOptions(text_depth=depth, image_depth=depth, templates=FEW, **options)
    return PromptSRC(own, clip.dims, num_rounds)


@in_turn("depth", [1, 3])
def test_promptsrc_equals_the_published_code(
    golden_clip: FrozenCLIP, depth: int, num_clients: int
) -> None:
    arrays = golden(f"promptsrc_J{depth}")
    check(recorded(golden_clip, depth), golden_clip, arrays, prompted_key, num_clients)


@pytest.mark.parametrize("golden_clip", ["shortcuts"], indirect=True)
def test_each_term_of_promptsrc_equals_the_published_code(golden_clip: FrozenCLIP) -> None:
    arrays, features = golden("promptsrc_J3"), GoldenFeatures(golden_clip)
    text, method = class_text(golden_clip, NAMES, "a photo of a {}."), recorded(golden_clip, 3)
    taught = text.ensemble(tuple(FEW), unit=False)
    near(method.name, arrays, "text teacher", taught, arrays["text_teacher"], atol=2e-5)
    apart = (text.ensemble(tuple(FEW)) - taught).abs().max()
    assert apart > 1e-3  # the mean of unit vectors is another one
    layout = Layout(method.specs)
    theta = rows_from(layout, arrays, "init", prompted_key, 1)
    for weight, name in TERMS.items():
        method = recorded(golden_clip, 3, **{**NONE, weight: 1.0})
        trainer = LocalTrainer(method, layout, text, features, LABELS.__getitem__, OptimConfig())
        loss, grad = trainer.gradient(theta, None, batch_of(1))
        value = "kl_over_numel" if name == "kl" else name
        expected = torch.as_tensor(arrays["loss_ce"] + arrays[value])
        near(method.name, arrays, f"loss with {name}", loss[0], expected, atol=1e-5)
        for spec in layout.specs:  # a term that does not reach one has recorded nothing
            key, found = prompted_key(spec.name), layout.views(grad)[spec.name][0]
            own = arrays.get(f"grad_{name}/{key}", np.float32(0))
            assert name == "kl" or own.any() == (spec.name.split(".")[0] in name)
            what, expected = f"gradient with {name}", arrays[f"grad_ce/{key}"] + own
            near(method.name, arrays, what, found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("golden_clip", ["shortcuts"], indirect=True)
def test_mean_over_rounds_equals_the_published_code(golden_clip: FrozenCLIP) -> None:
    arrays, features = golden("promptsrc_J3"), GoldenFeatures(golden_clip)
    method = recorded(golden_clip, 3, num_rounds=3, centre=2 / 3, deviation=1 / 3)
    layout, text = Layout(method.specs), class_text(golden_clip, NAMES, "a photo of a {}.")
    optim = OptimConfig(lr=float(arrays["lr"]))
    trainer = LocalTrainer(method, layout, text, features, LABELS.__getitem__, optim)
    theta = rows_from(layout, arrays, "init", prompted_key, 1)
    exchange, one = method.exchange(layout, theta[0], 1), np.zeros(1, np.int64)
    for steps in (1, 2, 3):
        row = trainer.train(theta, theta[:, :0], None, [batch_of(1)] * steps).theta
        exchange.upload(one, row, torch.ones(1, dtype=torch.float64))
        exchange.sync(World.alone(), torch.zeros(0, dtype=torch.int64), one)
    newest, scored = (exchange.download(one, training=t).shared for t in (True, False))
    torch.testing.assert_close(newest, row, rtol=0, atol=1e-7)
    expected = rows_from(layout, arrays, "gpa3", prompted_key, 1)
    near(method.name, arrays, "mean over rounds", scored, expected, atol=1e-6)
    assert (scored - newest).abs().max() > 1e-4


def test_weights_none_are_ivlp() -> None:
    ours, plain = Setting("promptsrc", NONE), Setting("ivlp", {})
    a, b = (one.losses(plain.theta, STEPS[0]) for one in (ours, plain))
    assert torch.equal(a, b)


def test_divergence_is_among_the_classes_that_take_part() -> None:
    setting = Setting("promptsrc", {**NONE, "logit_weight": 1.0})
    plain = Setting("promptsrc", NONE)
    own = np.array([[1, 1, 0, 1], [1, 0, 1, 0], [1, 1, 1, 1]], bool)
    batch = replace(STEPS[0], rows=np.zeros_like(STEPS[0].rows))  # label 0, which all have
    found = []
    for one in (setting, plain):
        trainer = one.trainer
        trainer.columns_of = own.__getitem__
        found.append(trainer.losses(one.theta, None, batch))
    said = setting.logits(setting.theta, batch.rows)
    images = setting.features.rows(setting.method.images[1], (batch.rows.reshape(-1), None))
    final = setting.clip.encode_image(images, setting.method.images[1]).unflatten(0, (3, -1))
    taught = setting.text.ensemble(setting.method.templates, unit=False)
    for g in range(3):
        zero_shot = setting.clip.scale * final[g] @ taught.mT
        p, q = (x[:, torch.from_numpy(own[g])].softmax(dim=1) for x in (zero_shot, said[g]))
        expected = F.kl_div(q.log(), p, reduction="none").mean()
        torch.testing.assert_close(found[0][g] - found[1][g], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_weight": -1.0}, "method.text_weight: -1.0; set 0 or more"),
        ({"image_weight": float("nan")}, "method.image_weight: nan; set 0 or more"),
        ({"templates": []}, "method.templates: no text"),
        ({"centre": 1.5}, "method.centre: 1.5; set a share from 0 to 1"),
        ({"deviation": 0.0}, "method.deviation: 0.0; set more than 0"),
        ({"deviation": None, "centre": 0.5}, "method.centre: 0.5 is read with method.deviation"),
        ({"num_tokens": 0}, "method.num_tokens: 0; set 1 or more"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptSRCOptions(**options)
