"""A model small enough to be written as .json and .pt in every test of loading."""

from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from torch import Tensor

from pfedmma_dist.clip.load import load
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.keys import ClipConfig

VISION = {"layers": 2, "width": 16, "head_width": 8, "patch_size": 4, "image_size": 12}
TEXT = {"layers": 2, "width": 16, "heads": 2, "context_length": 20}
Describe = Callable[..., str]
"""(vision_cfg, text_cfg, other keys) -> path of a .json with these changes to the tiny model."""


def loaded(model: str, pretrained: str | Path | None = None, seed: int = 1, **keys) -> FrozenCLIP:
    """Load a model as a configuration would."""
    pretrained = None if pretrained is None else str(pretrained)
    return load(ClipConfig(model=model, pretrained=pretrained, **keys), seed, torch.device("cpu"))


def state_of(vision: dict | None = None) -> dict[str, Tensor]:
    """Return random weights under OpenAI's names."""
    module = open_clip.CLIP(8, {**VISION, **(vision or {})}, TEXT)
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


def uses_quick_gelu(clip: FrozenCLIP) -> bool:
    """Say whether the CLIP runs QuickGELU, which is folded into SiLU."""
    return clip.text.activation is torch.nn.functional.silu
