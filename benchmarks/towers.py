"""Hold our towers and LoRA to another code base: `python -m benchmarks.towers [--full]`.

The same random weights go through transformers' CLIPModel with PEFT's LoRA on queries and values of
the top 3 blocks of both towers, and through our cached form: logits of random images, then the
gradient of their cross-entropy for every factor. --full is ViT-B/16, some two minutes of a core.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import load
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.methods.lora_options import LoRAOptions
from pfedmma_dist.params import Layout

NAMES = ("cat", "sea horse", "yin yang", "face", "chair")
RANK, ALPHA = 4, 8.0


@dataclass(frozen=True)
class Sizes:
    """Of a CLIP: (width, blocks, heads) of its towers, as many blocks in each, and the rest."""

    image: tuple[int, int, int]
    text: tuple[int, int, int]
    joint: int
    pixels: int
    patch: int


FULL = Sizes((768, 12, 12), (512, 12, 8), 512, 224, 16)
SMALL = Sizes((64, 4, 2), (32, 4, 2), 16, 32, 8)


@dataclass(frozen=True)
class Differences:
    """The largest of each kind, and what it is to be seen beside."""

    logits: float
    gradient: float
    largest_gradient: float


def differences(sizes: Sizes, num_images: int = 6, blocks: int = 3, seed: int = 0) -> Differences:
    """Return how far the two code bases are apart."""
    torch.manual_seed(seed)
    theirs = _theirs(sizes).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        model = Path(folder) / "model.json"
        model.write_text(json.dumps(_described(sizes)))
        weights = str(Path(folder) / "model.safetensors")
        clip = load(ClipConfig(model=str(model), pretrained=weights), 0, torch.device("cpu"))
    pixels = torch.randn(num_images, 3, sizes.pixels, sizes.pixels)
    labels = torch.arange(num_images) % len(NAMES)
    ids = clip.tokenizer([f"a photo of a {name}." for name in NAMES])

    tuned = get_peft_model(theirs, LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=["q_proj", "v_proj"],
        layers_to_transform=list(range(sizes.image[1] - blocks, sizes.image[1])),
        layers_pattern="layers",
    )).eval()  # fmt: skip
    factors = {n: p for n, p in tuned.named_parameters() if "lora_" in n}
    with torch.no_grad():
        for factor in factors.values():
            factor.normal_(std=0.05)
    logits = tuned(input_ids=ids, pixel_values=pixels).logits_per_image
    F.cross_entropy(logits, labels).backward()

    method = LoRA(LoRAOptions(blocks=blocks, rank=RANK, alpha=ALPHA), clip.dims)
    layout = Layout(method.specs)
    row = torch.cat([_their(factors, s.name, sizes, blocks).flatten() for s in layout.specs])
    leaf = row.detach()[None].requires_grad_()
    params = layout.views(leaf)
    text = class_text(clip, NAMES, "a photo of a {}.")
    [images] = clip.freeze(pixels, (method.images,))
    ours = method.logits(params, method.classes(params, None, text), images[None], clip)[0]
    F.cross_entropy(ours, labels).backward()
    gradient = layout.views(leaf.grad)
    pairs = [
        (gradient[spec.name][0], _their(factors, spec.name, sizes, blocks, gradient=True))
        for spec in layout.specs
    ]
    return Differences(
        float((ours - logits).detach().abs().max()),
        max(float((a - b).abs().max()) for a, b in pairs),
        max(float(b.abs().max()) for _, b in pairs),
    )


def _theirs(sizes: Sizes) -> CLIPModel:
    def tower(width: int, blocks: int, heads: int) -> dict[str, int | str]:
        return {
            "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": blocks,
            "num_attention_heads": heads, "hidden_act": "quick_gelu", "projection_dim": sizes.joint,
        }  # fmt: skip

    image = {**tower(*sizes.image), "image_size": sizes.pixels, "patch_size": sizes.patch}
    text = {**tower(*sizes.text), "eos_token_id": 49407}
    return CLIPModel(CLIPConfig(projection_dim=sizes.joint, text_config=text, vision_config=image))


def _described(sizes: Sizes) -> dict[str, object]:
    """Return the same sizes as open_clip writes them."""
    (width, layers, heads), text = sizes.image, sizes.text
    return {
        "embed_dim": sizes.joint,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": sizes.pixels, "layers": layers, "width": width,
            "head_width": width // heads, "patch_size": sizes.patch,
        },
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": text[0], "layers": text[1],
            "heads": text[2],
        },
    }  # fmt: skip


def _their(
    factors: dict[str, Tensor], name: str, sizes: Sizes, blocks: int, *, gradient: bool = False
) -> Tensor:
    """Return what PEFT has of one of our factors, or its gradient."""
    factor, level, tower, letter = name.split(".")
    depth = (sizes.image if tower == "image" else sizes.text)[1]
    place = f"layers.{depth - blocks + int(level)}.self_attn.{letter}_proj.lora_{factor}."
    model = "vision_model" if tower == "image" else "text_model"
    [found] = [x for key, x in factors.items() if place in key and f".{model}." in key]
    return found.grad if gradient else found


def main() -> None:
    """Print the differences."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--full", action="store_true", help="ViT-B/16; else a small one")
    found = differences(FULL if words.parse_args().full else SMALL)
    print(f"largest difference of logits    {found.logits:.1e}")
    print(f"largest difference of gradients {found.gradient:.1e}")
    print(f"largest gradient                {found.largest_gradient:.1e}")


if __name__ == "__main__":
    main()
