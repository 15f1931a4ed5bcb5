"""DoRA: values and gradients against matrices that are built whole, and where it starts."""

import pytest
import torch
from setting import STEPS, Setting
from test_lora import SMALL, merged_loss
from torch import Tensor

from pfedmma_dist.methods.lora_options import Form, LoRAOptions, Train
from pfedmma_dist.methods.merging import Merge

DORA = SMALL | {"form": Form.decomposed}


def at_start(setting: Setting) -> Tensor:
    start = setting.method.template(setting.layout, 1, setting.clip)
    return start.to(setting.dtype).repeat(3, 1)


@pytest.mark.parametrize("plain", [False, True], ids=["shortcuts", "plain"])
def test_loss_and_gradient_are_those_of_whole_matrices_with_the_norm_held(plain: bool) -> None:
    setting = Setting("lora", DORA | {"projections": "qkvo"}, plain=plain)
    theta = at_start(setting) + setting.theta - setting.start
    row = theta[:1].clone().requires_grad_()
    params = setting.layout.views(row)

    def added(place: str, *, held: bool = True) -> Tensor:
        weight = params[f"W.{place}"][0]
        turned = weight + 12.0 / 3 * params[f"B.{place}"][0] @ params[f"A.{place}"][0]
        norm = turned.square().sum(dim=1, keepdim=True).sqrt()
        return (
            params[f"m.{place}"][0][:, None] * turned / (norm.detach() if held else norm) - weight
        )

    loss = merged_loss(setting, added, "qkvo")
    gradient = torch.autograd.grad(loss, row)[0]
    torch.testing.assert_close(setting.losses(theta, STEPS[0])[0], loss, rtol=0, atol=1e-10)
    ours = setting.gradient(theta, STEPS[0])[:1]
    torch.testing.assert_close(ours, gradient, rtol=0, atol=1e-10)
    free = merged_loss(setting, lambda place: added(place, held=False), "qkvo")
    assert (torch.autograd.grad(free, row)[0] - gradient).abs().max() > 1e-4


def test_every_client_starts_as_the_untouched_clip_with_the_lengths_of_its_rows() -> None:
    setting, reference = Setting("lora", DORA), Setting("zero_shot", {})
    start = at_start(setting)
    for name, value in setting.layout.views(start).items():
        if name.startswith("m."):
            norms = setting.layout.frozen[f"W.{name[2:]}"].norm(dim=1)
            torch.testing.assert_close(value[0].float(), norms)
    expected = reference.logits(reference.theta, STEPS[0].rows)
    torch.testing.assert_close(setting.logits(start, STEPS[0].rows), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"train": Train.B}, {"merge": Merge.svd}, {"ranks": [1, 2]}, {"dropout": 0.1}]
)
def test_decomposed_goes_with_neither_merging_nor_dropout_nor_ranks(
    options: dict[str, object],
) -> None:
    with pytest.raises(ValueError, match=r"^method\.form: decomposed is about A and B that are"):
        LoRAOptions(form=Form.decomposed, **options)
