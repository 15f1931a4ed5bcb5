"""Weights under transformers' names give the features that transformers computes of them."""

import json
import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tiny_files import TEXT, VISION, Describe, loaded, uses_quick_gelu
from transformers import CLIPConfig, CLIPModel
from transformers.utils import logging as their_logging

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FINAL

their_logging.disable_progress_bar()
CLASSES = ("cat", "sea horse")


def built(act: str = "quick_gelu", heads: int = 2) -> CLIPModel:
    """Return transformers' own model of the tiny sizes, with random weights."""
    common = {"intermediate_size": 64, "num_attention_heads": heads, "hidden_act": act}
    torch.manual_seed(5)
    config = CLIPConfig(
        projection_dim=8,
        text_config={
            **common, "hidden_size": TEXT["width"], "num_hidden_layers": TEXT["layers"],
            "max_position_embeddings": TEXT["context_length"], "eos_token_id": 49407,
        },
        vision_config={
            **common, "hidden_size": VISION["width"], "num_hidden_layers": VISION["layers"],
            "image_size": VISION["image_size"], "patch_size": VISION["patch_size"],
        },
    )  # fmt: skip
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for x in model.parameters():  # theirs are so small that nothing would show
            x.add_(0.2 * torch.randn(x.shape))
        model.logit_scale.fill_(2.0)
    return model


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder as transformers writes it."""
    folder = tmp_path / "published"
    built().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("form", ["whole", "shards", "bin"])
def test_features_are_those_of_transformers(
    describe: Describe, tmp_path: Path, act: str, form: str
) -> None:
    model = built(act)
    model.save_pretrained(tmp_path, max_shard_size="1MB" if form == "shards" else "1GB")
    path = tmp_path / ("model.safetensors.index.json" if form == "shards" else "model.safetensors")
    if form == "bin":
        path = tmp_path / "pytorch_model.bin"
        torch.save(model.state_dict(), path)
    clip = loaded(describe(), path)
    assert uses_quick_gelu(clip) is (act == "quick_gelu")
    pixels = torch.randn(3, 3, 12, 12)
    ids = clip.tokenizer([f"a {name}." for name in CLASSES])
    with torch.no_grad():
        theirs = model(input_ids=ids, pixel_values=pixels)
    [images] = clip.freeze(pixels, (FINAL,))
    texts = class_text(clip, CLASSES, "a {}.").plain
    torch.testing.assert_close(images, F.normalize(theirs.image_embeds), atol=1e-5, rtol=0)
    torch.testing.assert_close(texts, F.normalize(theirs.text_embeds), atol=1e-5, rtol=0)
    logits = clip.scale * images @ texts.t()
    torch.testing.assert_close(logits, theirs.logits_per_image, atol=1e-4, rtol=1e-5)


def test_positions_that_older_versions_stored_are_passed_over(
    describe: Describe, published: Path
) -> None:
    path = published / "model.safetensors"
    state = load_file(path)
    for tower, count in (("text_model", 20), ("vision_model", 10)):
        state[f"{tower}.embeddings.position_ids"] = torch.arange(count)[None]
    before = loaded(describe(), path).image_hash()
    save_file(state, path)
    assert loaded(describe(), path).image_hash() == before


def test_without_config_json_the_activation_is_told_to_be_the_models(
    describe: Describe, published: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (published / "config.json").unlink()
    assert not uses_quick_gelu(loaded(describe(), published / "model.safetensors"))
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "no config.json beside it" in record.getMessage()
    assert "GELU is taken from clip.model" in record.getMessage()


def test_other_heads_than_the_models_are_refused(describe: Describe, tmp_path: Path) -> None:
    built(heads=4).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"with 4 heads in the text and 4 in the image .* 2 and 2"):
        loaded(describe(), tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("hidden_act", "relu", r"names the activations \['quick_gelu', 'relu'\]"),
        ("layer_norm_eps", 1e-6, "has a layer_norm_eps other than 1e-05"),
    ],
)
def test_towers_that_are_no_clips_are_refused(
    describe: Describe, published: Path, key: str, value: object, words: str
) -> None:
    config = json.loads((published / "config.json").read_text())
    config["text_config"][key] = value
    (published / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=words):
        loaded(describe(), published / "model.safetensors")


def test_a_tensor_that_is_missing_is_named(describe: Describe, published: Path) -> None:
    path = published / "model.safetensors"
    state = load_file(path)
    del state["vision_model.encoder.layers.1.self_attn.k_proj.bias"]
    save_file(state, path)
    with pytest.raises(ValueError, match=r"lacks 1 of .* 'visual\..*resblocks\.1\.attn\.in_proj_b"):
        loaded(describe(), path)
