"""Tensors that are not those of a CLIP are called by what they are, in few words."""

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from tiny_files import Describe, loaded, state_of

from pfedmma_dist.clip.foreign import KINDS, explained

NAMES: dict[str, tuple[list[str], str]] = {
    "lora": (
        ["base_model.model.vision_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"],
        "an adapter (LoRA, PEFT), not a CLIP; merge it into its CLIP",
    ),
    "our rows": (["ids", "rows"], "a checkpoint of this program: rows of clients"),
    "coop": (["ctx"], "holds prompt vectors of CoOp's kind, not a CLIP; give the CLIP that"),
    "coop's learner": (
        ["prompt_learner.ctx", "prompt_learner.token_prefix"],
        "holds prompt vectors of CoOp's kind",
    ),
    "cocoop": (["ctx", "meta_net.linear1.weight"], "holds prompt vectors of CoOp's kind"),
    "maple": (
        ["prompt_learner.compound_prompts_text.0", "image_encoder.VPT"],
        "holds prompt vectors of CoOp's kind",
    ),
    "blip": (["visual_encoder.cls_token", "text_decoder.bert.x"], "of BLIP's or CoCa's family"),
    "siglip": (
        ["logit_bias", "text_model.head.weight", "vision_model.head.probe"],
        "a SigLIP, whose text tower is no CLIP's",
    ),
    "eva": (["visual.blocks.0.attn.q_proj.weight", "text.token_embedding.weight"], "an EVA-CLIP"),
    "timm tower": (
        ["visual.trunk.cls_token", "text.token_embedding.weight"],
        "an image tower of timm's; set clip.model to the name that it has in open_clip",
    ),
    "chinese": (["visual.conv1.weight", "bert.encoder.x"], "a CLIP whose text tower is BERT's"),
    "vision tower of transformers": (
        ["vision_model.embeddings.class_embedding", "visual_projection.weight"],
        "an image tower alone, in transformers' names; give the whole CLIP",
    ),
    "text tower of transformers": (
        ["text_model.embeddings.token_embedding.weight", "text_model.final_layer_norm.bias"],
        "a text tower alone, in transformers' names",
    ),
    "image tower": (["visual.class_embedding", "visual.ln_pre.bias"], "the image tower of a CLIP"),
    "bare image tower": (["class_embedding", "ln_pre.bias"], "the image tower of a CLIP alone"),
    "text tower": (
        ["transformer.resblocks.0.ln_1.bias", "token_embedding.weight"],
        "the text tower of a CLIP alone",
    ),
    "no tokens": (
        ["transformer.resblocks.0.ln_1.bias", "visual.proj", "ln_final.bias"],
        "a CLIP without its token embedding",
    ),
    "timm": (["cls_token", "patch_embed.proj.weight"], "a Vision Transformer of timm's or DINO's"),
    "vit": (["vit.embeddings.cls_token"], "a Vision Transformer of images alone"),
    "torchvision's vit": (["conv_proj.weight"], "a Vision Transformer of images alone"),
    "resnet": (["layer1.0.conv1.weight", "fc.bias"], "a ResNet of images alone, without text"),
    "vgg": (["features.0.weight"], "a network of images alone"),
    "transformers' resnet": (
        ["embedder.embedder.convolution.weight", "encoder.stages.0.layers.0.layer.0.convolution.x"],
        "a network of images alone",
    ),
    "diffusion": (["model.diffusion_model.out.0.bias"], "a diffusion model"),
    "language": (["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"], "a lang"),
    "t5": (["decoder.block.0.layer.0.SelfAttention.k.weight"], "a language model"),
    "bert": (["bert.embeddings.word_embeddings.weight"], "a language model"),
    "coca": (["visual.attn_pool.query", "token_embedding.weight"], "is a CoCa; give the weights"),
    "adapter": (["adapter.fc.0.weight"], "holds an adapter, not a CLIP"),
    "custom text": (["text.token_embedding.weight", "visual.proj"], "a text tower of its own; set"),
    "encoders": (["image_encoder.stem.x", "text_encoder.proj"], "a MobileCLIP, or another pair"),
    "transformers without tokens": (
        ["vision_model.embeddings.class_embedding", "text_model.encoder.layers.0.mlp.fc1.bias"],
        "without its token embedding, maybe one shard of several; give all of it",
    ),
    "unknown": ([f"a{i}" for i in range(99)], "has none of a CLIP's names, but 99 tensors: 'a0',"),
    "unknown and long": ([f"{'long.' * 30}{i}" for i in range(99)], "but 99 tensors: 'long.long."),
}


@pytest.mark.parametrize("kind", NAMES)
def test_another_architecture_is_named(describe: Describe, tmp_path: Path, kind: str) -> None:
    names, words = NAMES[kind]
    path = tmp_path / "w.safetensors"
    save_file({name: torch.ones(2) for name in names}, path)
    with pytest.raises(ValueError) as error:
        loaded(describe(), path)
    told = str(error.value)
    assert told.startswith(f"clip.pretrained: {path} does not hold the weights of clip.model=")
    assert words in told
    assert len(told) < 400


@pytest.mark.parametrize(
    "model",
    ["ViT-B-16", "RN50", "ViT-B-16-SigLIP", "EVA02-B-16", "convnext_base", "MobileCLIP2-S0"],
)
def test_a_model_is_never_called_another_than_itself(model: str) -> None:
    config = open_clip.get_model_config(model)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    with torch.device("meta"):
        wanted = list(kind(**config).state_dict())
    assert explained(wanted[1:], wanted) is None


def test_every_kind_is_met_by_its_example() -> None:
    met = {explained(names) for names, _ in NAMES.values()}
    assert {kind.what for kind in KINDS} == {told[0] for told in met if told}


def test_a_part_of_a_checkpoint_of_ours_is_told(describe: Describe, tmp_path: Path) -> None:
    (tmp_path / "round_000050").mkdir()
    path = tmp_path / "round_000050" / "server.safetensors"
    save_file({"shared": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="it is part of a checkpoint of this program"):
        loaded(describe(), path)


def test_weights_of_another_size_name_the_model_that_they_are_of(tmp_path: Path) -> None:
    with torch.device("meta"):
        sizes = {
            name: x.shape
            for name, x in open_clip.CLIP(**open_clip.get_model_config("ViT-S-32"))
            .state_dict()
            .items()
        }
    state = {name: torch.ones(shape, dtype=torch.bfloat16) for name, shape in sizes.items()}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=r"its sizes are those of ViT-S-32; set clip\.model=ViT-S-32"
    ):
        loaded("ViT-S-16", tmp_path / "w.pt")


def test_sizes_of_no_known_model_are_told(describe: Describe, tmp_path: Path) -> None:
    save_file(state_of({"width": 32, "layers": 3}), tmp_path / "w.safetensors")
    with pytest.raises(
        ValueError,
        match=r"no model of open_clip: ViT, patch 4, 12 pixels, image 3 x 32, text 2 x 16",
    ):
        loaded(describe(), tmp_path / "w.safetensors")
