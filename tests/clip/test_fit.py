"""Weights of another image size are resized as open_clip does; what cannot be right is refused."""

import logging
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import resize_pos_embed, resize_text_pos_embed
from tiny_files import TEXT, VISION, Describe, loaded, state_of

from pfedmma_dist.clip.fit import grid_resized, length_resized


@pytest.mark.parametrize("side", [16, 24, 40])
def test_position_embeddings_are_resized_as_open_clip_does(side: int) -> None:
    state = state_of()
    mine = grid_resized(state["visual.positional_embedding"], (side // 4, side // 4))
    resize_pos_embed(state, open_clip.CLIP(8, {**VISION, "image_size": side}, TEXT))
    assert torch.equal(mine, state["visual.positional_embedding"])


@pytest.mark.parametrize("length", [12, 33])
def test_positions_of_texts_are_resized_as_open_clip_does(length: int) -> None:
    state = state_of()
    mine = length_resized(state["positional_embedding"], length)
    resize_text_pos_embed(state, open_clip.CLIP(8, VISION, {**TEXT, "context_length": length}))
    assert torch.equal(mine, state["positional_embedding"])


@pytest.mark.parametrize(
    ("vision", "text", "words"),
    [
        ({"image_size": 24}, {}, "from 3x3 patches to 6x6, as clip.model asks"),
        ({}, {"context_length": 30}, "from 20 tokens to 30, as clip.model asks"),
    ],
)
@pytest.mark.parametrize("custom_text", [False, True])
def test_another_size_is_loaded_with_one_warning(
    describe: Describe,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    vision: dict,
    text: dict,
    words: str,
    custom_text: bool,
) -> None:
    torch.save(state_of(), tmp_path / "w.pt")
    clip = loaded(describe(vision, text, custom_text=custom_text), tmp_path / "w.pt")
    [record] = caplog.records
    assert record.levelno == logging.WARNING and words in record.getMessage()
    assert clip.embed_image.position.shape == ((37 if vision else 10), 16)
    assert len(clip.embed_text.position) == (30 if text else 20)


def test_another_patch_size_is_not_resized(describe: Describe, tmp_path: Path) -> None:
    torch.save(state_of({"patch_size": 6}), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"its sizes are those of no model .* patch 6, 12 pixels"):
        loaded(describe(), tmp_path / "w.pt")


def test_positions_that_make_no_square_are_refused(describe: Describe, tmp_path: Path) -> None:
    odd = {"visual.positional_embedding": torch.ones(8, 16)}
    torch.save({**state_of(), **odd}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"does not hold the weights of clip\.model"):
        loaded(describe(), tmp_path / "w.pt")


BAD = {"NaN": float("nan"), "infinite": float("inf"), "minus": float("-inf")}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", ["visual.proj", "token_embedding.weight", "logit_scale"])
def test_numbers_that_are_not_finite_are_refused_by_name_and_count(
    describe: Describe, tmp_path: Path, name: str, value: float
) -> None:
    state = state_of()
    state[name].view(-1)[-1] = value
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=rf"w\.pt holds numbers that are not finite .* 1 of the .* in '{name}';"
    ):
        loaded(describe(), tmp_path / "w.pt")


def test_what_half_precision_cannot_hold_is_refused(describe: Describe, tmp_path: Path) -> None:
    torch.save({**state_of(), "visual.proj": torch.full((16, 8), 1e6).half()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"128 of the 128 in 'visual\.proj'"):
        loaded(describe(), tmp_path / "w.pt")


def test_large_numbers_whose_sum_overflows_are_no_infinity(
    describe: Describe, tmp_path: Path
) -> None:
    torch.save({**state_of(), "visual.proj": torch.full((16, 8), 3e38)}, tmp_path / "w.pt")
    loaded(describe(), tmp_path / "w.pt")


def test_quantized_numbers_are_refused(describe: Describe, tmp_path: Path) -> None:
    torch.save(
        {**state_of(), "visual.proj": torch.ones(16, 8, dtype=torch.int8)}, tmp_path / "w.pt"
    )
    with pytest.raises(ValueError, match=r"has 'visual\.proj' in int8, which is quantized or cut"):
        loaded(describe(), tmp_path / "w.pt")


def test_a_scale_in_a_vector_of_one_is_read(describe: Describe, tmp_path: Path) -> None:
    torch.save({**state_of(), "logit_scale": torch.tensor([1.0])}, tmp_path / "w.pt")
    assert loaded(describe(), tmp_path / "w.pt").scale == pytest.approx(2.71828, abs=1e-4)


def test_missing_tensors_are_counted_and_the_first_is_named(
    describe: Describe, tmp_path: Path
) -> None:
    state = {key: x for key, x in state_of().items() if "resblocks.1.ln_1" not in key}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"lacks 4 of the model's, the first 'visual\..*ln_1\.w"):
        loaded(describe(), tmp_path / "w.pt")
