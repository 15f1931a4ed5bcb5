"""PLOT: FedOTP's balanced transport with several common prompts, and mixtures of the two."""

import pytest
import torch
from setting import STEPS, Setting

from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.methods.fedotp import FedOTPOptions
from pfedmma_dist.methods.method import encode
from pfedmma_dist.methods.plot import PLOTOptions
from pfedmma_dist.methods.transport import Transport


def test_it_is_fedotp_without_prompts_of_its_own() -> None:
    ours = Setting("plot", {})
    other = Setting(
        "fedotp", {"ot": Transport.sinkhorn, "num_common": 4, "num_own": 0, "threshold": 1e-2}
    )
    assert torch.equal(ours.theta, other.theta)
    assert torch.equal(
        ours.logits(ours.theta, STEPS[0].rows), other.logits(other.theta, STEPS[0].rows)
    )
    assert not other.method.specs[1:]
    assert ours.layout.num_shared == ours.layout.num_trained


def test_fedotp_has_as_many_common_and_own_prompts_as_it_is_told() -> None:
    setting = Setting("fedotp", {"num_common": 2, "num_own": 3})
    sizes = {spec.name: (spec.shape[0], spec.shared) for spec in setting.method.specs}
    assert sizes == {"common": (2, True), "own": (3, False)}
    params = setting.layout.views(setting.theta)
    classes = setting.method.classes(params, None, setting.text)
    assert classes.shape[:2] == (3, 5)
    torch.testing.assert_close(
        classes[:, 4], setting.text.with_context(params["own"][:, 2]), rtol=0, atol=1e-12
    )


def test_equal_prompts_are_one_prompt_against_the_mean_patch() -> None:
    setting = Setting("plot", {"threshold": 0.0, "max_iter": 1000})
    params = setting.layout.views(setting.theta)
    params["common"].copy_(params["common"][:, :1].clone().expand_as(params["common"]))
    rows, clip = STEPS[0].rows, setting.clip
    kind = setting.method.images
    images = setting.features.rows(kind, (rows.reshape(-1), None))
    patches = clip.encode_image(images, kind).unflatten(0, rows.shape)  # [G, B, M, D]
    vectors = setting.text.with_context(params["common"][:, 0])
    expected = clip.scale * patches.mean(dim=2) @ vectors.mT  # every patch gives 1 / M
    torch.testing.assert_close(setting.logits(setting.theta, rows), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("plain", [False, True])
def test_pooled_adds_the_whole_image_and_the_mean_of_the_prompts(plain: bool) -> None:
    with_it, without = (
        Setting("plot", {"pooled": pooled}, plain=plain) for pooled in (True, False)
    )
    theta, rows = with_it.theta, STEPS[0].rows
    contexts = with_it.layout.views(theta)["common"]
    read = with_it.features.rows(FINAL, (rows.reshape(-1), None)).unflatten(0, rows.shape)
    final = encode(with_it.clip, read, FINAL)
    raw = [with_it.text.with_context(contexts[:, k], unit=False) for k in range(4)]
    lengths = [vectors.norm(dim=-1).mean() for vectors in raw]
    assert max(lengths) > 1.001 * min(lengths)  # else unit vectors would do as well
    mean = torch.nn.functional.normalize(sum(raw) / 4, dim=-1)
    expected = without.logits(theta, rows) + with_it.clip.scale * final @ mean.mT
    torch.testing.assert_close(with_it.logits(theta, rows), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_prompts": 0}, "method.num_prompts: 0; set 1 or more"),
        ({"eps": 0.0}, "method.eps: 0.0; set more than 0"),
        ({"max_iter": 0}, "method.max_iter: 0; set 1 or more"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PLOTOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_common": 0}, "method.num_common: 0"), ({"num_own": -1}, "method.num_own: -1")],
    ids=str,
)
def test_numbers_of_prompts_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedOTPOptions(**options)
