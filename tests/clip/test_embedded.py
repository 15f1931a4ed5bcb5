"""Tokens as they are embedded, and mirror images: what they become, and beside other kinds."""

import pytest
import torch
from noise import FORK
from slow_form import SIDE, assert_same, oracle, random_clip
from torch import Tensor

from pfedmma_dist.clip.model import FINAL, MIRRORED, PATCHES, TOKENS, ImageFeatures
from pfedmma_dist.clip.recipe import file_name

ENTRY = ImageFeatures(0, entry=True)


def images() -> Tensor:
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).double()


@pytest.mark.parametrize("plain", [False, True])
def test_mirrored_is_the_final_vector_of_the_flipped_image(plain: bool) -> None:
    clip, pixels = random_clip(torch.float64, plain=plain), images()
    [features] = clip.freeze(pixels, (MIRRORED,))
    expected = oracle(torch.float64).encode_image(pixels.flip(3), normalize=True)
    assert_same(clip.encode_image(features, MIRRORED), expected)


@pytest.mark.parametrize("plain", [False, True])
def test_tokens_are_those_before_the_first_norm_and_become_the_final_vector(plain: bool) -> None:
    clip, pixels = random_clip(torch.float64, plain=plain), images()
    visual = oracle(torch.float64).visual
    [features] = clip.freeze(pixels, (TOKENS,))
    assert_same(visual.ln_pre(clip.image_tokens(features)), visual._embeds(pixels))
    expected = oracle(torch.float64).encode_image(pixels, normalize=True)
    assert_same(clip.encode_image(features, TOKENS), expected)


def test_beside_other_kinds_each_is_as_alone() -> None:
    clip, pixels = random_clip(torch.float64), images()
    kinds = (MIRRORED, TOKENS, FINAL, FORK, ENTRY, PATCHES)
    for kind, features in zip(kinds, clip.freeze(pixels, kinds), strict=True):
        assert features.shape == (3, *clip.record_shape(kind))
        assert_same(features, clip.freeze(pixels, (kind,))[0])
    assert len({file_name(kind) for kind in kinds}) == len(kinds)
