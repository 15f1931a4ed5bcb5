"""Where a method names what is neutral at zero, its logits are zero-shot CLIP's then."""

import pytest
import torch
from setting import CASES, STEPS, Setting

from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.methods.method import cosine_logits, encode

NEUTRAL = [case for case, words in CASES.items() if Setting(*words).method.neutral]


@pytest.mark.parametrize("case", NEUTRAL)
def test_neutral_numbers_at_zero_leave_zero_shot_logits(case: str) -> None:
    setting, rows = Setting(*CASES[case]), STEPS[0].rows
    theta = setting.theta.clone()
    for name, values in setting.layout.views(theta).items():
        if name.partition(".")[0] in setting.method.neutral:
            values.zero_()
    assert not torch.equal(theta, setting.theta)
    images = setting.features.rows(FINAL, (rows.reshape(-1), None)).unflatten(0, rows.shape)
    plain = setting.text.plain[None].expand(len(rows), -1, -1)
    wanted = cosine_logits(encode(setting.clip, images, FINAL), plain, setting.clip.scale)
    torch.testing.assert_close(setting.logits(theta, rows), wanted, rtol=0, atol=1e-9)
