"""A JSON file cannot describe a model that no host could hold, whatever its sizes are."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from tiny_files import Describe, loaded

from pfedmma_dist.clip.described import SIZES, read_description
from pfedmma_dist.clip.load import dims

NUMBERS = [f"{section}.{name}" for section, sizes in SIZES.items() for name in sizes]
ABSURD = [-1, 0, 10**7, 10**400, True, "8", [1], {"a": 1}, 1e308, float("nan"), float("inf")]


def refused(content: str, tmp_path: Path) -> str:
    file = tmp_path / "own.json"
    file.write_text(content)
    with pytest.raises(ValueError) as error:
        read_description(file)
    told = str(error.value)
    assert told.startswith(f"clip.model: {file}")
    assert len(told) - len(str(file)) < 300
    return told.removeprefix(f"clip.model: {file}")


def described(key: str, value: object) -> str:
    config: dict = {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}
    section, _, name = key.rpartition(".")
    (config[section] if section else config)[name] = value
    return json.dumps(config)


@pytest.mark.parametrize("value", ABSURD, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("key", ["embed_dim", *NUMBERS])
def test_an_absurd_size_is_refused_by_file_field_value_and_bound(
    tmp_path: Path, key: str, value: object
) -> None:
    told = refused(described(key, value), tmp_path)
    assert told.startswith(f": {key} is {repr(value)[:20]}")
    assert ", not a whole number from " in told or ", not a number from " in told


@pytest.mark.parametrize("change", [{"embed_dim": 10**7}, {"vision": {"layers": 10**6}}], ids=str)
def test_nothing_is_built_of_them(
    describe: Describe, monkeypatch: pytest.MonkeyPatch, change: dict
) -> None:
    monkeypatch.setattr(open_clip, "CLIP", lambda **_: pytest.fail("a model was built"))
    with pytest.raises(ValueError, match=r"clip\.model: .* not a whole number from 1 to "):
        loaded(describe(**change))


def test_sizes_that_fit_their_bounds_but_no_memory_are_refused(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = describe({"width": 16384, "head_width": 64, "layers": 256}, embed_dim=16384)
    monkeypatch.setattr(torch, "manual_seed", lambda *_: pytest.fail("numbers were drawn"))
    with pytest.raises(ValueError, match=r"clip\.model: .* numbers, 3,\d\d\d GiB in float32, and"):
        loaded(model)
    assert dims(model).image_blocks == 256  # what it costs can be told nevertheless


TOGETHER = {
    "heads of the images": (
        described("vision_cfg.head_width", 7),
        ": vision_cfg.width is 768, not a multiple of vision_cfg.head_width, which is 7",
    ),
    "heads of the texts": (
        described("text_cfg.heads", 7),
        ": text_cfg.width is 512, not a multiple of text_cfg.heads, which is 7",
    ),
    "a patch beyond the image": (
        described("vision_cfg.patch_size", 225),
        ": vision_cfg.patch_size is 225, not a whole number up to vision_cfg.image_size, which is",
    ),
    "no patch": (
        described("vision_cfg.patch_size", None),
        ": vision_cfg.patch_size is None, not a",
    ),
    "a stage of a ResNet": (
        described("vision_cfg.layers", [1, 1, 1, 10**6]),
        ": vision_cfg.layers[...] is 1000000, not a whole number from 1 to 256",
    ),
    "weights of timm's": (
        described("vision_cfg.timm_model_pretrained", True),
        ": vision_cfg.timm_model_pretrained asks for weights from a network; leave it out",
    ),
    "a model of the hub's": (
        described("vision_cfg.timm_model_name", "hf-hub:a/b"),
        ": vision_cfg.timm_model_name is 'hf-hub:a/b', not the name of an architecture",
    ),
}


@pytest.mark.parametrize(("content", "words"), TOGETHER.values(), ids=TOGETHER)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, content: str, words: str) -> None:
    assert refused(content, tmp_path).startswith(words)


SHAPES = {
    "depth": ("[" * 100_000, " cannot be read as JSON: nested too deep"),
    "depth of a field": (
        '{"embed_dim": ' + '{"a": ' * 100_000,
        " cannot be read as JSON: nested too",
    ),
    "digits": ('{"embed_dim": ' + "9" * 5000 + "}", " cannot be read as JSON: Exceeds the limit"),
    "a field twice": (
        '{"embed_dim": 8, "embed_dim": 9}',
        " cannot be read as JSON: the key 'embed_",
    ),
    "a number": ("5", " holds 5, not an object of sizes"),
    "a text": ('"embed_dim"', " holds 'embed_dim', not an object of sizes"),
    "empty": ("", " cannot be read as JSON: Expecting value"),
    "NUL": ("\0", " cannot be read as JSON: Expecting value"),
}


@pytest.mark.parametrize(("content", "words"), SHAPES.values(), ids=SHAPES)
def test_what_is_no_description_is_refused(tmp_path: Path, content: str, words: str) -> None:
    assert refused(content, tmp_path).startswith(words)


def test_published_descriptions_are_read(tmp_path: Path) -> None:
    for name in ("ViT-B-16", "ViT-bigG-14", "ViT-L-14-336-quickgelu", "RN50x64", "convnext_base"):
        file = tmp_path / "own.json"
        file.write_text(json.dumps(open_clip.get_model_config(name)))
        assert read_description(file) == open_clip.get_model_config(name)
