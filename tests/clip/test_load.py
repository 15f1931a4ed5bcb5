"""Models by name, by tag and by description, and clear words where one cannot be had or used."""

import socket
from pathlib import Path

import huggingface_hub.constants
import open_clip
import pytest
import torch
from tiny import golden
from tiny_files import TEXT, VISION, Describe, loaded, uses_quick_gelu
from torch import nn

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.clip.plain_text import PlainText
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.keys import CacheMode, Dtype
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions

RESNET = {"layers": [1, 1, 1, 1], "width": 4, "image_size": 32, "patch_size": None}
TIMM = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 32}


def test_random_weights_follow_from_the_seed(describe: Describe) -> None:
    model = describe()
    same, again, other = (loaded(model, seed=seed).image_hash() for seed in (3, 3, 4))
    assert same == again != other


def test_random_weights_leave_the_global_generator_alone(describe: Describe) -> None:
    before = torch.get_rng_state()
    loaded(describe())
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_tag_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"clip\.pretrained: 'opnai' .*; known tags: openai, laion"
    ):
        loaded("ViT-B-16", "opnai")


def test_a_missing_file_is_refused_by_its_name(describe: Describe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.pt' is neither a file nor a tag .* not exist"):
        loaded(describe(), tmp_path / "absent.pt")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list]:
    """Stand in for the network and for open_clip's download; return what was asked of them."""
    asked = {"hosts": [], "downloads": []}

    def connect(address: tuple[str, int], timeout: float) -> None:
        asked["hosts"].append(address)
        raise OSError("no network")

    def create(model: str, pretrained: str, **how: object) -> nn.Module:
        asked["downloads"].append((model, pretrained, how))
        return open_clip.CLIP(8, VISION, TEXT, quick_gelu=how["quick_gelu"])

    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(open_clip, "create_model", create)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return asked


def put_into_hub_cache(folder: Path) -> None:
    snapshot = folder / "models--timm--vit_base_patch16_clip_224.openai" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "open_clip_model.safetensors").touch()


def test_a_known_tag_without_a_network_fails_at_once_with_a_remedy(hub: dict[str, list]) -> None:
    with pytest.raises(ValueError, match=r"ViT-B-16/openai .*no network.* path of a local file"):
        loaded("ViT-B-16", "openai")
    assert hub["hosts"] == [("huggingface.co", 443)] and not hub["downloads"]


def test_a_known_tag_in_the_hubs_cache_needs_no_network(
    hub: dict[str, list], tmp_path: Path
) -> None:
    put_into_hub_cache(tmp_path)
    loaded("ViT-B-16", "openai")
    assert not hub["hosts"] and len(hub["downloads"]) == 1


def test_behind_a_proxy_the_download_is_tried(
    hub: dict[str, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    loaded("ViT-B-16", "openai")
    assert not hub["hosts"] and len(hub["downloads"]) == 1


def test_a_download_that_fails_is_told_with_a_remedy(
    hub: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **how: object) -> None:
        raise RuntimeError("503")

    put_into_hub_cache(tmp_path)
    monkeypatch.setattr(open_clip, "create_model", fail)
    with pytest.raises(ValueError, match=r"could not be fetched \(503\); .* local file, or null"):
        loaded("ViT-B-16", "openai")


def test_a_tag_decides_the_activation_with_a_warning(
    hub: dict[str, list], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_into_hub_cache(tmp_path)
    assert uses_quick_gelu(loaded("ViT-B-16", "openai"))
    assert "ViT-B-16 names GELU" in caplog.records[0].getMessage()


def test_weights_trained_on_images_scaled_otherwise_are_told_of(
    hub: dict[str, list], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    loaded("ViT-H-14-quickgelu", "dfn5b")
    [record] = caplog.records
    assert "scaled otherwise (bicubic, squash)" in record.getMessage()


@pytest.mark.parametrize(
    "model, reason",
    [
        ("ViT-B-16-SigLIP", "its text tower is not causal"),
        ("coca_ViT-B-32", "is not CLIP's own"),
        ("roberta-ViT-B-32", "is not CLIP's own"),
    ],
)
def test_models_with_another_text_tower_are_refused_before_a_download(
    hub: dict[str, list], model: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=rf"clip\.model: .*{reason}"):
        loaded(model, open_clip.list_pretrained_tags_by_model(model)[0])
    assert not hub["hosts"] and not hub["downloads"]


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "own.json holds .1., not an object of sizes"),
        ("{}", "lacks embed_dim, text_cfg, vision_cfg"),
        ('{"embed_dim": 8, "vision_cfg": {}}', "lacks text_cfg"),
        ('{"embed_dim": 8, "vision_cfg": 5, "text_cfg": {}}', "vision_cfg in .* is no group"),
        ('{"embed_dim": 8, "vision_cfg": {"layerz": 1}, "text_cfg": {}}', "layerz"),
        (
            '{"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"heads": 7}}',
            "text_cfg.width is 512, not a multiple of text_cfg.heads, which is 7",
        ),
        (
            '{"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"hf_tokenizer_name": "bert"}}',
            "names a tokenizer other than CLIP's own",
        ),
    ],
)
def test_a_json_that_describes_no_model_is_refused(
    tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(ValueError, match=rf"clip\.model: .*{words}"):
        loaded(str(tmp_path / "own.json"))


def test_a_missing_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"clip\.model: .*there is no file .*absent\.json"):
        loaded(str(tmp_path / "absent.json"))


@pytest.mark.parametrize(
    "change",
    [{}, {"pool_type": "avg"}, {"ls_init_value": 0.1}, {"image_size": 14}, RESNET, TIMM],
    ids=["vit", "average", "layer scale", "odd size", "resnet", "timm"],
)
def test_sizes_without_weights_are_those_with_weights(describe: Describe, change: dict) -> None:
    model = describe(change)
    assert dims(model) == loaded(model).dims


def test_sizes_of_vit_b_16_are_the_papers() -> None:
    sizes = dims("ViT-B-16")
    assert (sizes.image_width, sizes.image_blocks, sizes.num_patches) == (768, 12, 196)
    assert (sizes.text_width, sizes.text_blocks, sizes.embed_dim) == (512, 12, 512)


@pytest.mark.parametrize("vision", [RESNET, TIMM], ids=["resnet", "timm"])
def test_a_tower_that_is_no_vit_works_with_methods_that_read_final_features(
    describe: Describe, vision: dict
) -> None:
    clip = loaded(describe(vision))
    text = class_text(clip, ("cat", "dog"), "a {}.")
    side = clip.dims.image_size
    [images] = clip.freeze(torch.randn(3, 3, side, side), (FINAL,))
    for method, params in [
        (ZeroShot(ZeroShotOptions(), clip.dims), {}),
        (PromptFL(PromptFLOptions(num_context=4), clip.dims), {"context": torch.randn(1, 4, 16)}),
    ]:
        classes = method.classes(params, None, text)
        assert method.logits(params, classes, images[None], clip).shape == (1, 3, 2)


@pytest.mark.parametrize("vision", [RESNET, TIMM], ids=["resnet", "timm"])
def test_pfedmma_refuses_a_tower_that_is_no_vit_with_the_reason(
    describe: Describe, vision: dict
) -> None:
    with pytest.raises(ValueError, match=r"clip\.model is no Vision Transformer; choose a ViT"):
        PFedMMA(PFedMMAOptions(), dims(describe(vision)))


@pytest.mark.parametrize("vision", [RESNET, TIMM], ids=["resnet", "timm"])
def test_a_tower_that_is_no_vit_runs_in_bfloat16(describe: Describe, vision: dict) -> None:
    model = describe(vision)
    wide, narrow = (loaded(model, dtype=dtype) for dtype in (Dtype.float32, Dtype.bfloat16))
    pixels = torch.randn(3, 3, wide.dims.image_size, wide.dims.image_size)
    [expected], [out] = (clip.freeze(pixels, (FINAL,)) for clip in (wide, narrow))
    assert out.dtype == torch.float32
    assert float((out * expected).sum(dim=1).min()) > 0.99


@pytest.mark.parametrize("mode, form", [(CacheMode.off, PlainText), (CacheMode.auto, ClassText)])
def test_cache_off_loads_the_plain_form(describe: Describe, mode: CacheMode, form: type) -> None:
    clip = loaded(describe(), cache=mode)
    assert clip.plain is (mode is CacheMode.off)
    assert type(class_text(clip, ("cat",), "{}")) is form


def test_tokens_are_those_of_the_published_code(describe: Describe) -> None:
    inputs = golden("inputs")
    names = [name.replace("_", " ") for name in inputs["classnames"].tolist()]
    tokenizer = loaded(describe(text={"context_length": 77})).tokenizer
    ids = tokenizer([f"a photo of a {name}." for name in names])
    assert torch.equal(ids, torch.from_numpy(inputs["tokens_photo_original"]))


def test_a_prompt_as_long_as_the_model_is_accepted(describe: Describe) -> None:
    assert loaded(describe()).tokenizer([" ".join(["cat"] * 18)])[0, -1] == 49407


@pytest.mark.parametrize("num_words", [19, 60])
def test_a_prompt_too_long_for_the_model_is_refused_by_name(
    describe: Describe, num_words: int
) -> None:
    tokenizer = loaded(describe()).tokenizer
    with pytest.raises(ValueError, match=r"the prompt 'cat[ cat.]*' does not fit the 20 tokens"):
        tokenizer(["a dog", " ".join(["cat"] * num_words)])
