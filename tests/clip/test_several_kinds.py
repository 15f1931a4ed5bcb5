"""Several kinds of features at once are those of each kind."""

import pytest
import torch
from noise import FORK, GROUPS, Noise, built, views_of
from slow_form import random_clip

from pfedmma_dist.clip.cache import FreshFeatures
from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.config.keys import ClipConfig

WANTED = views_of([26, 3, 5, 3])


@pytest.mark.parametrize("kinds", [(FORK, FINAL), (FINAL, FORK), (FINAL,)], ids=len)
def test_tuple_of_kinds_is_read_as_a_tuple_in_its_order(
    pixels: Noise, ram: ClipConfig, kinds: tuple
) -> None:
    for features in (
        FreshFeatures(random_clip(torch.float32), pixels),
        built(pixels, ram, GROUPS, (FINAL, FORK)),
    ):
        found = features.rows(kinds, WANTED)
        assert isinstance(found, tuple)
        for kind, own in zip(kinds, found, strict=True):
            assert torch.equal(own, features.rows(kind, WANTED))


def test_several_kinds_of_fresh_features_decode_an_image_once(
    pixels: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    batch = pixels.batch
    monkeypatch.setattr(pixels, "batch", lambda *views: asked.append(views) or batch(*views))
    FreshFeatures(random_clip(torch.float32), pixels).rows((FORK, FINAL), WANTED)
    assert len(asked) == 1
