"""Sizes of a CLIP by the shapes of its tensors, and the models of open_clip that have them."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

VOCABULARY, LENGTH, IMAGE = 49_408, 77, 224  # open_clip's defaults


class Sizes(NamedTuple):
    """What tells one CLIP from another."""

    embed_dim: int
    image_blocks: tuple[int, ...]  # one number for a ViT, four for a ResNet
    image_width: int
    patch: int | None  # None for a ResNet
    image_size: int
    text_blocks: int
    text_width: int
    length: int
    vocabulary: int

    def __str__(self) -> str:
        """Say the sizes that people know models by."""
        kind = f"ViT, patch {self.patch}" if self.patch else "ResNet"
        blocks = "+".join(map(str, self.image_blocks))
        return (
            f"{kind}, {self.image_size} pixels, image {blocks} x {self.image_width}, text "
            f"{self.text_blocks} x {self.text_width}, embedding {self.embed_dim}"
        )


def of_tensors(state: Mapping[str, Tensor]) -> Sizes | None:
    """Return the sizes that tensors under open_clip's names have; None where some are missing."""
    try:
        resnet = "visual.layer1.0.conv1.weight" in state
        position = state["visual.attnpool.positional_embedding" if resnet
                         else "visual.positional_embedding"]  # fmt: skip
        side = math.isqrt(len(position) - 1)
        first = state["visual.conv1.weight"]
        patch = None if resnet else first.shape[-1]
        blocks = (
            tuple(_count(state, rf"visual\.layer{stage}\.(\d+)\.") for stage in range(1, 5))
            if resnet
            else (_count(state, r"visual\.transformer\.resblocks\.(\d+)\."),)
        )
        tokens, length = state["token_embedding.weight"], len(state["positional_embedding"])
        return Sizes(
            embed_dim=state["text_projection"].shape[1],
            image_blocks=blocks,
            image_width=len(first) * (2 if resnet else 1),
            patch=patch,
            image_size=side * (patch or 32),
            text_blocks=_count(state, r"transformer\.resblocks\.(\d+)\."),
            text_width=tokens.shape[1],
            length=length,
            vocabulary=len(tokens),
        )
    except (KeyError, IndexError, TypeError):
        return None


def of_config(config: Mapping[str, Any]) -> Sizes | None:
    """Return the sizes in open_clip's configuration of a model; None where it is no plain CLIP."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    foreign = {"timm_model_name", "hf_model_name", "multimodal_cfg"}
    if foreign & {*config, *vision, *text} or config.get("custom_text"):
        return None
    layers, size = vision.get("layers", 12), vision.get("image_size", IMAGE)
    resnet = isinstance(layers, list | tuple)
    return Sizes(
        embed_dim=config["embed_dim"],
        image_blocks=tuple(layers) if resnet else (layers,),
        image_width=vision.get("width", 768),
        patch=None if resnet else vision.get("patch_size", 16),
        image_size=size if isinstance(size, int) else size[0],
        text_blocks=text.get("layers", 12),
        text_width=text.get("width", 512),
        length=text.get("context_length", LENGTH),
        vocabulary=text.get("vocab_size", VOCABULARY),
    )


def models(
    found: Sizes, configs: Iterable[tuple[str, Mapping[str, Any]]], quick: bool
) -> list[str]:
    """Return the models of these sizes, those of the wanted activation and short names first."""
    own = [
        (bool(config.get("quick_gelu", False)) != quick, len(name), name)
        for name, config in configs
        if of_config(config) == found
    ]
    return [name for *_, name in sorted(own)]


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})
