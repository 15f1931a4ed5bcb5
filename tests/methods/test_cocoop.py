"""CoCoOp: prompts of every image by itself, in passes of any size, and where they start."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from setting import STEPS, Setting
from tiny import CLASSES, tiny_clip, tiny_federation
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.storage import GIB
from pfedmma_dist.methods.cocoop import CoCoOp, CoCoOpOptions
from pfedmma_dist.params import Layout

SHORT = {"num_context": 4}


def memory_of(num_images: int, setting: Setting) -> float:
    """Return the GiB in which the text passes of this many images just fit."""
    return (num_images + 0.5) * setting.text.context_bytes(4) / GIB


@dataclass
class Spy:
    """A text side that counts the contexts of each pass."""

    text: object
    passes: list[int] = field(default_factory=list)

    def context_bytes(self, num_context: int) -> int:
        return self.text.context_bytes(num_context)

    def with_context(self, context: Tensor) -> Tensor:
        self.passes.append(len(context))
        return self.text.with_context(context)


def slow_logits(setting: Setting, theta: Tensor, rows: np.ndarray) -> Tensor:
    """Return logits [G, B, C], one client and one image after another."""
    params, clip = setting.layout.views(theta), setting.clip
    logits = []
    for g, own in enumerate(rows):
        p = {name: value[g] for name, value in params.items()}
        for x in setting.features.rows(setting.method.images, (own, None)):
            hidden = (p["net.down"] @ x + p["net.down.bias"]).clamp(min=0)
            prompt = p["context"] + p["net.up"] @ hidden + p["net.up.bias"]
            logits.append(clip.scale * setting.text.with_context(prompt[None])[0] @ x)
    return torch.stack(logits).unflatten(0, rows.shape)


@pytest.mark.parametrize("fitting", [1, 5, 100])
def test_passes_of_any_size_give_the_logits_and_gradients_of_single_images(fitting: int) -> None:
    setting = Setting("cocoop", SHORT)
    setting.method.options.memory = memory_of(fitting, setting)
    rows, theta = STEPS[0].rows, setting.theta.clone().requires_grad_()
    ours, slow = setting.logits(theta, rows), slow_logits(setting, theta, rows)
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-12)
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal(ours.shape))
    grads = [torch.autograd.grad((x * weight).sum(), theta)[0] for x in (ours, slow)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("fitting", "passes"), [(0, [1] * 12), (5, [5, 5, 2]), (11, [11, 1]), (12, [12])]
)
def test_images_are_cut_into_passes_that_fit_the_memory(fitting: int, passes: list[int]) -> None:
    setting = Setting("cocoop", SHORT)
    setting.method.options.memory = memory_of(fitting, setting)
    setting.text = Spy(setting.text)
    assert STEPS[0].rows.shape == (3, 4)
    with torch.no_grad():
        setting.logits(setting.theta, STEPS[0].rows)
    assert setting.text.passes == passes


@pytest.mark.parametrize(("plain", "most"), [(False, 1.05), (True, 1.5)])
def test_estimate_of_memory_is_near_what_a_pass_keeps(plain: bool, most: float) -> None:
    clip = tiny_clip(torch.float32, plain=plain)
    text = class_text(clip, CLASSES, "a photo of a {}.")
    context = torch.randn(8, 4, clip.text.width, requires_grad=True)
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        if x.requires_grad:  # no weight, no mask
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = text.with_context(context)
    assert out.requires_grad  # and with it all that was kept is alive: no two at one address
    estimate = len(context) * text.context_bytes(4)
    assert 0.7 * estimate < sum(kept.values()) < most * estimate


def test_images_of_a_client_have_class_vectors_of_their_own() -> None:
    setting = Setting("cocoop", {})
    params = setting.layout.views(setting.theta)
    still = {**params, "net.up": torch.zeros_like(params["net.up"])}
    images = setting.features.rows(setting.method.images, (STEPS[0].rows.reshape(-1), None))
    images = images.unflatten(0, (3, 4))
    moving, same = (
        setting.method.logits(p, setting.text, images, setting.clip) for p in (params, still)
    )
    shift = still["net.up.bias"][:, None]
    classes = setting.text.with_context(still["context"] + shift)  # PromptFL's
    torch.testing.assert_close(same, setting.clip.scale * images @ classes.mT, rtol=0, atol=1e-12)
    assert not torch.allclose(moving, same)


def test_words_are_where_the_context_of_every_client_starts() -> None:
    options = CoCoOpOptions(ctx_init="a photo  of a")
    federation = tiny_federation(CoCoOp, options=options)
    clip = federation.clip
    theta, _ = federation.start(np.arange(6), training=True)
    params = federation.layout.views(theta)
    expected = clip.embed_text.token[clip.tokenizer(["a photo of a"])[0, 1:5]]
    assert torch.equal(params["context"], expected.expand(6, -1, -1))
    plain = federation.layout.views(federation.layout.template(federation.cfg.seed)[None])
    assert torch.equal(params["net.down"][0], plain["net.down"][0])
    assert params["net.down"].any()


def test_words_of_several_tokens_are_refused(golden_clip) -> None:
    method = CoCoOp(CoCoOpOptions(ctx_init="a photo of a"), golden_clip.dims)
    golden_clip.tokenizer = lambda texts: torch.tensor([[14, 3, 4, 5, 6, 7, 15, 0]])
    with pytest.raises(ValueError, match="method.ctx_init: 'a photo of a' is 5 tokens in 4 words"):
        method.template(Layout(method.specs), 1, golden_clip)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_context": 0}, "method.num_context: 0; set 1 or more"),
        ({"ctx_init": " "}, "method.ctx_init: no word in it"),
        ({"memory": 0.0}, "method.memory: 0.0; set some GiB"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CoCoOpOptions(**options)


def test_net_starts_as_torch_starts_it_and_the_context_as_small_noise() -> None:
    layout = Layout(CoCoOp(CoCoOpOptions(), dims("ViT-B-16")).specs)
    started = {name: x.numpy() for name, x in layout.views(layout.template(1)[None]).items()}
    np.testing.assert_allclose(started["context"].std(), 0.02, rtol=0.03)
    for name, fan_in in [("net.down", 512), ("net.up", 32), ("net.up.bias", 32)]:
        np.testing.assert_allclose(np.abs(started[name]).max(), fan_in**-0.5, rtol=0.02)
