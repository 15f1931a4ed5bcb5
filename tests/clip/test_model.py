"""The image side in every shortcut, against open_clip's own image tower."""

from collections.abc import Callable
from copy import deepcopy

import open_clip
import pytest
import torch
from slow_form import (
    DEPTH,
    SIDE,
    TEXT,
    VISION,
    Adapters,
    Words,
    assert_same,
    gradients,
    oracle,
    random_clip,
    random_module,
    slow_image,
)
from torch import Tensor, nn

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.model import FINAL, Dims, FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.text import ClassText

NUM, WIDTH = 6, 32
CPU = torch.device("cpu")
STARTS = range(DEPTH)


def images(dtype: torch.dtype) -> Tensor:
    return torch.randn(NUM, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).to(dtype)


def frozen(module: nn.Module, dtype: torch.dtype = torch.float32) -> FrozenCLIP:
    return freeze(module, Words(63), CPU, dtype)


def changed(change: Callable[[nn.Module], object]) -> FrozenCLIP:
    """Freeze a copy of the random CLIP after a change."""
    module = deepcopy(random_module())
    change(module)
    return frozen(module)


@pytest.mark.parametrize("plain", [False, True])
def test_final_features_equal_open_clips(dtype: torch.dtype, quick_gelu: bool, plain: bool) -> None:
    clip, pixels = random_clip(dtype, quick_gelu=quick_gelu, plain=plain), images(dtype)
    [features] = clip.freeze(pixels, (FINAL,))
    expected = oracle(dtype, quick_gelu=quick_gelu).encode_image(pixels, normalize=True)
    assert_same(clip.encode_image(features, FINAL), expected)


def test_patches_are_embedded_without_ln_pre_where_the_model_has_none() -> None:
    module = deepcopy(random_module())
    module.visual.ln_pre = nn.Identity()
    [features] = frozen(module).freeze(images(torch.float32), (FINAL,))
    assert_same(features, module.encode_image(images(torch.float32), normalize=True))


@pytest.mark.parametrize("start", STARTS)
def test_a_fork_without_branch_equals_open_clip(dtype: torch.dtype, start: int) -> None:
    clip, pixels, kind = random_clip(dtype), images(dtype), ImageFeatures(start)
    [features] = clip.freeze(pixels, (kind,))
    expected = oracle(dtype).encode_image(pixels, normalize=True)
    assert_same(clip.encode_image(features, kind), expected)


@pytest.mark.pairwise
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("num_clients", [1, 3])
@pytest.mark.parametrize("start", STARTS)
def test_trained_branches_equal_the_slow_form(
    dtype: torch.dtype, quick_gelu: bool, start: int, num_clients: int, plain: bool
) -> None:
    clip, kind = random_clip(dtype, quick_gelu=quick_gelu, plain=plain), ImageFeatures(start)
    adapters = Adapters.random(num_clients, WIDTH, dtype)
    [features] = clip.freeze(images(dtype), (kind,))
    out = clip.encode_image(features, kind, adapters)
    module = oracle(dtype, quick_gelu=quick_gelu)
    own_images = images(dtype).chunk(num_clients)  # client-major, as in a cohort
    expected = torch.cat(
        [slow_image(module, own, adapters.of(g), start) for g, own in enumerate(own_images)]
    )
    assert_same(out, expected)
    for own, theirs in zip(
        gradients(out, adapters.leaves), gradients(expected, adapters.leaves), strict=True
    ):
        assert_same(own, theirs)


def test_several_kinds_at_once_equal_one_by_one(dtype: torch.dtype) -> None:
    clip, pixels = random_clip(dtype), images(dtype)
    kinds = (ImageFeatures(2), FINAL, ImageFeatures(0), ImageFeatures(DEPTH - 1))
    for kind, features in zip(kinds, clip.freeze(pixels, kinds), strict=True):
        [alone] = clip.freeze(pixels, (kind,))
        assert features.shape == (NUM, *clip.record_shape(kind))
        assert_same(features, alone)


def test_only_the_pooled_row_of_a_fork_at_the_last_block_is_kept() -> None:
    assert random_clip(torch.float32).record_shape(ImageFeatures(DEPTH - 1)) == (2, 1, WIDTH)
    assert random_clip(torch.float32).record_shape(ImageFeatures(0)) == (2, 10, WIDTH)


@pytest.mark.parametrize("kind", [FINAL, ImageFeatures(1)])
def test_the_plain_form_keeps_pixels(kind: ImageFeatures) -> None:
    clip, pixels = random_clip(torch.float32, plain=True), images(torch.float32)
    assert clip.record_shape(kind) == pixels.shape[1:]
    assert torch.equal(clip.freeze(pixels, (kind,))[0], pixels)


@pytest.mark.parametrize("start", STARTS)
def test_bfloat16_is_near_float32_and_its_gradients_are_float32(start: int) -> None:
    kind, adapters = ImageFeatures(start), Adapters.random(2, WIDTH, torch.float32)
    out, expected = (
        clip.encode_image(clip.freeze(images(torch.float32), (kind,))[0], kind, adapters)
        for clip in (random_clip(torch.bfloat16), random_clip(torch.float32))
    )
    assert out.dtype == torch.float32
    assert float((out * expected).sum(dim=-1).min().detach()) > 0.999
    for gradient in gradients(out, adapters.leaves):
        assert gradient.dtype == torch.float32 and gradient.isfinite().all() and gradient.any()


def test_features_stored_in_bfloat16_lose_one_rounding() -> None:
    clip, kind = random_clip(torch.float32), ImageFeatures(2)
    [features] = clip.freeze(images(torch.float32), (kind,))
    out, expected = (clip.encode_image(x, kind) for x in (features.bfloat16(), features))
    assert out.dtype == torch.float32
    assert float((out * expected).sum(dim=-1).min()) > 0.9995


def test_frozen_weights_are_copies() -> None:
    module = deepcopy(random_module())
    clip = frozen(module)
    [before] = clip.freeze(images(torch.float32), (FINAL,))
    for weight in module.parameters():
        weight.zero_()
    assert torch.equal(clip.freeze(images(torch.float32), (FINAL,))[0], before)


def test_sizes_are_those_of_the_module() -> None:
    assert random_clip(torch.float32).dims == Dims(
        embed_dim=20,
        image_size=SIDE,
        text_width=24,
        text_blocks=DEPTH,
        image_width=WIDTH,
        image_blocks=DEPTH,
        num_patches=9,
    )


def test_scale_is_open_clips() -> None:
    assert random_clip(torch.float32).scale == pytest.approx(1 / 0.07)


def test_statistics_come_from_the_weights_or_are_openais() -> None:
    def own_statistics(module: nn.Module) -> None:
        module.visual.preprocess_cfg = {"mean": (0.0, 0.0, 0.0), "std": (0.5, 0.5, 0.5)}

    clip = changed(own_statistics)
    assert (clip.mean, clip.std) == ((0, 0, 0), (0.5, 0.5, 0.5))
    assert random_clip(torch.float32).mean == pytest.approx((0.4815, 0.4578, 0.4082), abs=1e-4)


def test_equal_image_sides_have_equal_hashes() -> None:
    same = changed(lambda module: module.ln_final.weight.zero_())  # the text side is no part of it
    assert same.image_hash() == random_clip(torch.float32).image_hash()


@pytest.mark.parametrize(
    "change",
    [
        lambda module: module.visual.proj[0, 0].add_(1),
        lambda module: module.visual.positional_embedding[0, 0].add_(1),
        lambda module: module.visual.transformer.resblocks[2].ln_2.bias[0].add_(1),
        lambda module: setattr(module.visual.transformer.resblocks[0].attn, "num_heads", 4),
        lambda module: setattr(module.visual.ln_post, "eps", 1e-6),
    ],
    ids=["projection", "position", "block", "heads", "eps"],
)
def test_hash_tells_image_sides_apart(change: Callable[[nn.Module], object]) -> None:
    assert changed(change).image_hash() != random_clip(torch.float32).image_hash()


def test_hash_tells_activations_and_types_apart() -> None:
    clips = [
        random_clip(torch.float32),
        random_clip(torch.float32, quick_gelu=False),
        random_clip(torch.bfloat16),
    ]
    assert len({clip.image_hash() for clip in clips}) == 3


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"layers": [1, 1, 1, 1], "width": 8, "image_size": 32}, "is no Vision Transformer"),
        ({"pool_type": "avg"}, "does not pool at its class token"),
        ({"attentional_pool": True, "attn_pooler_heads": 4}, "does not pool at its class token"),
        ({"ls_init_value": 0.1}, "has layer scale"),
        ({"qk_norm": True}, "has blocks other than multi-head attention and MLP"),
        (
            {"act_kwargs": {"approximate": "tanh"}},
            "has an activation other than GELU and QuickGELU",
        ),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_another_image_tower_gives_final_features_and_says_why_no_more(
    change: dict, reason: str, plain: bool
) -> None:
    module = open_clip.CLIP(20, {**VISION, **change}, TEXT).eval().requires_grad_(False)
    clip = freeze(module, Words(63), CPU, torch.float32, plain=plain)
    assert clip.dims.why_no_image_tower == reason
    assert clip.image is None and clip.dims.image_width is None
    pixels = torch.randn(2, 3, clip.dims.image_size, clip.dims.image_size)
    [features] = clip.freeze(pixels, (FINAL,))
    assert features.shape[1:] == clip.record_shape(FINAL)
    assert_same(clip.encode_image(features, FINAL), module.encode_image(pixels, normalize=True))


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"no_causal_mask": True}, "is not causal"),
        ({"embed_cls": True}, "is not causal"),
        ({"pool_type": "last"}, "does not pool at the end of the text"),
        ({"proj_bias": True}, "has a projection with a bias"),
        ({"ls_init_value": 0.1}, "has layer scale"),
        ({"scale_fc": True}, "has blocks other than multi-head attention and MLP"),
    ],
)
def test_another_text_tower_is_refused_with_the_reason(change: dict, reason: str) -> None:
    module = open_clip.CustomTextCLIP(20, VISION, {**TEXT, **change})
    with pytest.raises(ValueError, match=f"clip.model: its text tower {reason}"):
        frozen(module)


def test_a_text_tower_without_projection_keeps_its_width() -> None:
    module = open_clip.CustomTextCLIP(24, VISION, {**TEXT, "proj_type": "none"})
    clip = frozen(module.requires_grad_(False).eval())
    assert clip.dims.embed_dim == 24
    expected = module.encode_text(Words(63)(["a cat"]), normalize=True)
    assert_same(ClassText(clip, ("cat",), "a {}").plain, expected)
