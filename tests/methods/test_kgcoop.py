"""KgCoOp: where its context starts, and how far it is held to the hand-written prompt."""

import pytest
import torch
from setting import STEPS, Setting
from tiny import tiny_clip

from pfedmma_dist.methods.kgcoop import KgCoOpOptions


def test_weight_none_is_promptfl() -> None:
    ours, plain = Setting("kgcoop", {"weight": 0.0}), Setting("promptfl", {})
    assert torch.equal(ours.theta, plain.theta)
    a, b = (one.losses(one.theta, STEPS[0]) for one in (ours, plain))
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_context_of_the_templates_words_is_at_no_distance() -> None:
    clip = tiny_clip(torch.float64)
    setting = Setting("kgcoop", {"ctx_init": "a photo of a"})
    row = setting.method.template(setting.layout, 1, clip).to(torch.float64)
    params = setting.layout.views(row[None])
    vectors = setting.method.classes(params, None, setting.text)
    torch.testing.assert_close(vectors[0], setting.text.plain, rtol=0, atol=1e-6)
    near, far = (
        Setting("kgcoop", {"ctx_init": "a photo of a", "weight": weight}).losses(
            row.repeat(3, 1), STEPS[0]
        )
        for weight in (0.0, 8.0)
    )
    torch.testing.assert_close(near, far, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_context": 0}, "method.num_context: 0; set 1 or more"),
        ({"weight": -1.0}, "method.weight: -1.0; set 0 or more, such as 8"),
        ({"ctx_init": " "}, "method.ctx_init: no word in it"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KgCoOpOptions(**options)
