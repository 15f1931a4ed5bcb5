"""The packaged CLIP by its name: files that belong together, and clear words where they do not."""

import hashlib
import json
from pathlib import Path

import open_clip
import pytest
import torch
from tiny_files import loaded, uses_quick_gelu

from pfedmma_dist.clip import packaged
from pfedmma_dist.clip.load import dims, tokenizer
from pfedmma_dist.clip.vocabulary import save

MODEL, TAG = "mini-clip", "glyphs"
CAPTION = "a photo of a striped fish."


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the packaged weights: random ones that know one caption."""
    weights = tmp_path / "mini_clip.safetensors"
    config = json.loads(packaged.MODELS[MODEL].read_text())
    module = open_clip.CLIP(**config)
    save(weights, module.state_dict(), tokenizer(MODEL)([CAPTION]).unique())
    write_card(tmp_path, hashlib.sha256(weights.read_bytes()).hexdigest())
    monkeypatch.setitem(packaged.WEIGHTS[MODEL], TAG, weights)
    return tmp_path


def write_card(folder: Path, digest: str) -> None:
    (folder / "mini_clip_card.json").write_text(json.dumps({"sha256": digest}))


def test_the_packaged_clip_is_loaded_by_name_in_silence(
    assets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = loaded(MODEL, TAG)
    assert uses_quick_gelu(clip)
    assert len(clip.embed_text.token) == len(set(tokenizer(MODEL)([CAPTION]).flatten().tolist()))
    assert not caplog.records


def test_a_strange_word_names_the_weights_and_their_card(assets: Path) -> None:
    with pytest.raises(
        ValueError, match=r"mini_clip\.safetensors \(described in mini_clip_card\.json beside it\)"
    ):
        loaded(MODEL, TAG).tokenizer(["zebra"])


def test_the_packaged_file_is_also_loaded_by_its_path(assets: Path) -> None:
    by_path = loaded(MODEL, assets / "mini_clip.safetensors")
    assert by_path.image_hash() == loaded(MODEL, TAG).image_hash()


def test_weights_other_than_the_cards_are_refused(assets: Path) -> None:
    write_card(assets, "0" * 64)
    with pytest.raises(
        ValueError,
        match=r"clip\.pretrained: .*mini_clip\.safetensors .* is not the file that .*"
        r"mini_clip_card\.json describes \(sha256 000000000000",
    ):
        loaded(MODEL, TAG)


@pytest.mark.parametrize("missing", ["mini_clip.safetensors", "mini_clip_card.json"])
def test_a_missing_file_is_told(assets: Path, missing: str) -> None:
    (assets / missing).unlink()
    with pytest.raises(ValueError, match=rf"{missing}.* install pfedmma_dist again"):
        loaded(MODEL, TAG)


def test_a_card_without_a_hash_is_told(assets: Path) -> None:
    (assets / "mini_clip_card.json").write_text("{}")
    with pytest.raises(ValueError, match=r"mini_clip_card\.json cannot be read"):
        loaded(MODEL, TAG)


def test_another_tag_is_refused_with_the_packaged_one() -> None:
    with pytest.raises(
        ValueError, match=r"clip\.pretrained: 'openai' .* tag of mini-clip; known tags: glyphs;"
    ):
        loaded(MODEL, "openai")


def test_the_packaged_tag_belongs_to_its_model() -> None:
    with pytest.raises(ValueError, match=r"'glyphs' is neither a file nor a tag of ViT-B-16"):
        loaded("ViT-B-16", TAG)


def test_a_misspelt_name_finds_the_packaged_one() -> None:
    with pytest.raises(ValueError, match=r"'mini_clip'; did you mean mini-clip"):
        loaded("mini_clip", TAG)


def test_without_weights_it_is_random_and_knows_all_words() -> None:
    clip = loaded(MODEL)
    assert len(clip.embed_text.token) == 49408
    assert clip.tokenizer(["zebra"]).shape == (1, 32)


def test_its_sizes_need_no_weights() -> None:
    sizes = dims(MODEL)
    assert (sizes.image_size, sizes.image_width, sizes.text_width) == (40, 96, 96)
    assert (sizes.image_blocks, sizes.text_blocks, sizes.num_patches) == (6, 4, 25)


def test_the_real_weights_say_a_caption() -> None:
    ids = loaded(MODEL, TAG).tokenizer([CAPTION, "X " * 16 + "striped fish."])
    assert torch.equal(ids.argmax(dim=1), torch.tensor([8, 20]))
