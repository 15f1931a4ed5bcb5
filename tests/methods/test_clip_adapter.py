"""CLIP-Adapter: what its ratio mixes, and which options are refused."""

import pytest
import torch
from setting import STEPS, Setting
from tiny import tiny_clip

from pfedmma_dist.methods.clip_adapter import CLIPAdapter, CLIPAdapterOptions


def test_adapter_that_answers_nothing_leaves_the_feature_alone() -> None:
    setting, reference = Setting("clip_adapter", {}), Setting("zero_shot", {})
    theta = -setting.theta.abs()  # of negative weights a ReLU leaves nothing of a positive input
    layout = setting.layout
    layout.views(theta)["first"].abs_()
    rows = STEPS[0].rows
    untouched = reference.logits(reference.theta, rows)
    torch.testing.assert_close(setting.logits(theta, rows), untouched, rtol=0, atol=1e-12)
    assert not torch.equal(setting.logits(setting.theta, rows), untouched)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 0.0}, "method.ratio: 0.0; set one above 0 up to 1"),
        ({"ratio": 1.5}, "method.ratio: 1.5; set one above 0 up to 1"),
        ({"reduction": 0}, "method.reduction: 0; set 1 or more"),
        ({"reduction": 1000}, "method.reduction: 1000 leaves nothing of the"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CLIPAdapter(CLIPAdapterOptions(**options), tiny_clip().dims)
