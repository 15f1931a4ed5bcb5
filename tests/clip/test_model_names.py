"""Models by the names that others give them: they work, or what to write is told."""

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from tiny_files import TEXT, VISION, loaded, state_of, uses_quick_gelu

from pfedmma_dist.clip import hub
from pfedmma_dist.clip.load import check, dims
from pfedmma_dist.config.keys import ClipConfig

SPELT = {
    "ViT-B/16": "ViT-B-16",
    "ViT-B/32": "ViT-B-32",
    "vit-b-16": "ViT-B-16",
    "vit_b_16": "ViT-B-16",
    "ViT-L/14@336px": "ViT-L-14-336",
    "rn50X4": "RN50x4",
    "ViT-B-16-QuickGELU": "ViT-B-16-quickgelu",
}


@pytest.mark.parametrize("name", SPELT)
def test_another_spelling_of_a_model_is_told_the_one_that_counts(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"clip\.model: .* '{name}'; did you mean {SPELT[name]}\?"
    ):
        check(ClipConfig(model=name))


@pytest.mark.parametrize("name", ["coca_ViT-B-32", "ViT-B-16-SigLIP", "roberta-ViT-B-32"])
def test_no_tag_is_advised_for_a_model_that_is_no_clip(name: str) -> None:
    with pytest.raises(ValueError, match=r"clip\.model: .*choose an OpenAI-style CLIP"):
        check(ClipConfig(model=name))


PUBLISHED = {
    "openai/clip-vit-base-patch16": "ViT-B-16 clip.pretrained=openai",
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": "ViT-B-32 clip.pretrained=laion2b_s34b_b79k",
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("key", ["model", "pretrained"])
def test_a_repository_is_told_the_keys_that_mean_it(name: str, key: str) -> None:
    with pytest.raises(ValueError) as error:
        check(ClipConfig(**{key: name}))
    assert f"clip.model={PUBLISHED[name]}" in str(error.value) and len(str(error.value)) < 400


def write_folder(folder: Path, **preprocess: object) -> dict[str, torch.Tensor]:
    """Write what open_clip publishes: a description beside weights."""
    folder.mkdir()
    model = {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT, "quick_gelu": True}
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = state_of()
    save_file(state, folder / "open_clip_model.safetensors")
    return state


def test_a_folder_brings_its_sizes_weights_and_pixels(tmp_path: Path) -> None:
    state = write_folder(tmp_path / "own", mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.2])
    model = f"local-dir:{tmp_path / 'own'}"
    clip = loaded(model, "openai")
    assert torch.equal(clip.image.projection, state["visual.proj"])
    assert uses_quick_gelu(clip) and clip.dims == dims(model)
    assert (clip.mean, clip.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))


def test_a_folder_of_images_scaled_otherwise_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path / "own", resize_mode="squash")
    loaded(f"local-dir:{tmp_path / 'own'}", "openai")
    assert "scaled otherwise (bicubic, squash)" in caplog.text


@pytest.mark.parametrize("mean", [[0.5, 0.5], "grey", [0.5, 0.5, float("nan")], [9, 9, 9]])
def test_pixels_that_cannot_be_are_refused(tmp_path: Path, mean: object) -> None:
    write_folder(tmp_path / "own", mean=mean)
    with pytest.raises(ValueError, match=r"preprocess_cfg\.mean is .*, not three numbers"):
        loaded(f"local-dir:{tmp_path / 'own'}", "openai")


def test_a_file_may_stand_in_for_the_folders_weights_and_a_tag_may_not(tmp_path: Path) -> None:
    write_folder(tmp_path / "own")
    other = state_of()
    torch.save(other, tmp_path / "w.pt")
    model = f"local-dir:{tmp_path / 'own'}"
    assert torch.equal(loaded(model, tmp_path / "w.pt").image.projection, other["visual.proj"])
    assert loaded(model).image_hash() != loaded(model, "openai").image_hash()
    with pytest.raises(ValueError, match=r"'laion2b' is no file; beside clip\.model=local-dir:"):
        check(ClipConfig(model=model, pretrained="laion2b"))


def test_folders_that_are_no_model_say_what_is_missing(tmp_path: Path) -> None:
    write_folder(tmp_path / "own")
    (tmp_path / "own" / "open_clip_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"own has no file of weights of a usual name"):
        check(ClipConfig(model=f"local-dir:{tmp_path / 'own'}"))
    with pytest.raises(ValueError, match=r"has no open_clip_config\.json \(no such folder\)"):
        check(ClipConfig(model=f"local-dir:{tmp_path / 'absent'}"))


def test_a_folder_in_place_of_a_file_is_told_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    torch.save(state_of(), tmp_path / "theirs" / "pytorch_model.bin")
    for key in ("model", "pretrained"):
        with pytest.raises(ValueError, match=r"clip\.pretrained=.*/theirs/pytorch_model\.bin"):
            check(ClipConfig(**{key: str(tmp_path / "theirs")}))


@pytest.mark.parametrize(
    ("pretrained", "words"),
    [
        ("https://example.org/w.pt", "an address: fetch the file"),
        ("hf-hub:some/model", "the name of a model: write clip.model=hf-hub:some/model"),
        ("absent/w.pt", "the path of a file that does not exist"),
        ("openai2", "known tags: openai, laion400m_e31"),
        ("dfn5b", "it is a tag of ViT-H-14, "),
    ],
)
def test_what_is_neither_file_nor_tag_is_told_apart(pretrained: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        check(ClipConfig(pretrained=pretrained))
    assert words in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:a", "hf-hub:../x", "hf-hub:a/b/c"])
def test_a_name_that_no_repository_has_is_refused_before_the_network(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(hub, "need", lambda _: pytest.fail("the network was asked"))
    with pytest.raises(ValueError, match=r"clip\.model: .* is not of the form hf-hub:OWNER/NAME"):
        loaded(name, "openai")


def test_a_repository_without_a_network_is_refused_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(_: str) -> None:
        raise OSError("\x1b[31mno network\nat all")

    monkeypatch.setattr(hub, "need", unreachable)
    with pytest.raises(ValueError) as error:
        loaded("hf-hub:some/model", "openai")
    told = str(error.value)
    assert "could not be fetched" in told and "clip.model=local-dir:FOLDER" in told
    assert "\x1b" not in told and "\n" not in told and len(told) < 400


def test_a_repository_is_read_like_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state, asked = write_folder(tmp_path / "snapshot"), []

    def fetch(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(tmp_path / "snapshot" / name)

    monkeypatch.setattr(hub, "need", lambda _: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    clip = loaded("hf-hub:some/model", "openai")
    assert torch.equal(clip.image.projection, state["visual.proj"]) and uses_quick_gelu(clip)
    assert {repository for repository, _ in asked} == {"some/model"}
