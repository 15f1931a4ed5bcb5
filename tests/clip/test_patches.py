"""Features of every patch, against open_clip's own image tower, and in the cache."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from noise import FORK, GROUPS, Noise, built
from slow_form import SIDE, assert_same, oracle, random_clip, slow_blocks
from torch import Tensor

from pfedmma_dist.clip.cache import FreshFeatures
from pfedmma_dist.clip.model import FINAL, PATCHES, ImageFeatures
from pfedmma_dist.config.keys import CacheMode, ClipConfig

NUM, NUM_PATCHES, WIDTH = 5, 9, 20


def images(dtype: torch.dtype) -> Tensor:
    return torch.randn(NUM, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).to(dtype)


@pytest.mark.parametrize("plain", [False, True])
def test_patches_are_all_tokens_but_the_first_through_norm_and_projection(
    dtype: torch.dtype, quick_gelu: bool, plain: bool
) -> None:
    clip, pixels = random_clip(dtype, quick_gelu=quick_gelu, plain=plain), images(dtype)
    visual = oracle(dtype, quick_gelu=quick_gelu).visual
    tokens = slow_blocks(visual.transformer, visual._embeds(pixels))
    expected = F.normalize(visual.ln_post(tokens[:, 1:]) @ visual.proj, dim=-1)
    [features] = clip.freeze(pixels, (PATCHES,))
    assert_same(clip.encode_image(features, PATCHES), expected)


@pytest.mark.parametrize("kinds", [(FINAL, PATCHES), (PATCHES, ImageFeatures(3), FINAL, FORK)])
def test_patches_beside_other_kinds_equal_each_alone(
    dtype: torch.dtype, kinds: tuple[ImageFeatures, ...]
) -> None:
    clip, pixels = random_clip(dtype), images(dtype)
    for kind, features in zip(kinds, clip.freeze(pixels, kinds), strict=True):
        assert features.shape == (NUM, *clip.record_shape(kind))
        assert_same(features, clip.freeze(pixels, (kind,))[0])
    assert clip.record_shape(PATCHES) == (NUM_PATCHES, WIDTH)


def test_plain_form_keeps_pixels_of_patches_too() -> None:
    clip, pixels = random_clip(torch.float32, plain=True), images(torch.float32)
    assert clip.record_shape(PATCHES) == pixels.shape[1:]
    assert torch.equal(clip.freeze(pixels, (PATCHES,))[0], pixels)


def test_patches_are_unit_vectors_in_float32_under_bfloat16_towers() -> None:
    clip = random_clip(torch.bfloat16)
    features = clip.encode_image(clip.freeze(images(torch.float32), (PATCHES,))[0], PATCHES)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(NUM, NUM_PATCHES))


@pytest.mark.parametrize("place", [CacheMode.ram, CacheMode.disk])
def test_cached_patches_equal_fresh_ones(
    pixels: Noise, place: CacheMode, shared_memory: Path, tmp_path: Path
) -> None:
    cfg = ClipConfig(cache=place, cache_memory=0.01, cache_folder=str(tmp_path / "cache"))
    features = built(pixels, cfg, kinds=(FINAL, PATCHES))
    fresh = FreshFeatures(random_clip(torch.float32), pixels)
    for kind in (FINAL, PATCHES):
        assert_same(features.rows(kind, GROUPS[2]), fresh.rows(kind, GROUPS[2]))
    assert features.num_bytes == 12 * 4 * WIDTH * (1 + NUM_PATCHES)


def test_patches_on_disk_are_found_again_and_not_taken_for_final_features(
    pixels: Noise, disk: ClipConfig
) -> None:
    first = built(pixels, disk, kinds=(PATCHES,))
    pixels.chunks.clear()
    assert torch.equal(built(pixels, disk, kinds=(PATCHES,)).tables[PATCHES], first.tables[PATCHES])
    assert not pixels.chunks
    built(pixels, disk, kinds=(FINAL,))
    assert pixels.chunks
