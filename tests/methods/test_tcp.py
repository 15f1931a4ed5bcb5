"""TCP: from which block on classes have tokens of their own, and what makes them."""

import pytest
import torch
from setting import STEPS, Setting

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import dims
from pfedmma_dist.methods.tcp import TCP, TCPOptions


@pytest.mark.parametrize(("blocks", "start"), [(None, 8), (2, 10)])
def test_a_third_of_the_blocks_read_class_tokens_unless_told(
    blocks: int | None, start: int
) -> None:
    assert TCP(TCPOptions(blocks=blocks), dims("ViT-B-16")).start == start


@pytest.mark.parametrize("blocks", [0, 12])
def test_blocks_that_leave_none_or_have_none_are_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"method.blocks: {blocks} of the 12 blocks"):
        TCP(TCPOptions(blocks=blocks), dims("ViT-B-16"))


def test_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="method.weight: -1"):
        TCPOptions(weight=-1.0)


def test_other_names_have_tokens_by_the_same_net() -> None:
    setting = Setting("tcp", {})
    params = setting.layout.views(setting.theta)
    other = class_text(setting.clip, ("owl", "bee"), setting.text.template, is_trained=False)
    found = setting.method.tokens(params, other.plain)
    assert found.shape == (3, 2, 4, setting.clip.dims.text_width)
    own = setting.method.tokens(params, setting.text.plain)  # "bee" is the second there, too
    torch.testing.assert_close(found[:, 1], own[:, 1], rtol=0, atol=1e-12)
    assert (found[:, 0] != own[:, 0]).any()


def test_class_tokens_reach_the_loss_and_the_context_below_them() -> None:
    setting = Setting("tcp", {"weight": 0.0})
    gradient = setting.layout.views(setting.gradient(setting.theta, STEPS[0]))
    assert all((gradient[name] != 0).any() for name in ("context", "net.down", "net.up"))
