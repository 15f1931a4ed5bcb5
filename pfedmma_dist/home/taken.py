"""Taken: what is taken home of a run, one head of it, and what every form of it is written from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pfedmma_dist.clip import catalogue, packaged
from pfedmma_dist.clip.freeze import is_quick_gelu, text_tower
from pfedmma_dist.clip.load import opened
from pfedmma_dist.clip.names import is_folder
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.home.head import Head
from pfedmma_dist.home.linear import Linear, linear_of
from pfedmma_dist.home.own import Own, own_of
from pfedmma_dist.home.trained import Trained

NUM_TRIED = 4
"""Images that a form is tried on once it is written; half of them lie beside it."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A head of a run, and the parts of it that others can hold."""

    trained: Trained
    head: Head

    @cached_property
    def linear(self) -> Linear | str:
        """The class matrix, or why there is none."""
        return linear_of(self.head)

    @cached_property
    def own(self) -> Own | None:
        """What a small module over open_clip reads of it, if that has a way to answer so."""
        return own_of(self.head.method, self.head)

    def module(self) -> Any:
        """Return the open_clip module of the run's CLIP, one's own to change."""
        cfg = self.trained.federation.cfg
        return whole(cfg.clip, cfg.seed)

    @property
    def tag(self) -> tuple[str, str] | None:
        """The (model, tag) by which open_clip itself knows the CLIP; None where it does not."""
        own = self.trained.federation.cfg.clip
        if own.pretrained is None or packaged.find(own.model, own.pretrained) is not None:
            return None
        if is_folder(own.model) or catalogue.is_described(own.model):
            return None
        return own.model, own.pretrained

    @cached_property
    def images(self) -> Tensor:
        """Images [n, 3, H, H] to try a form on: noise as the CLIP sees it, and whole pictures of
        it, cropped and normalised."""
        size, rng = self.trained.image_size, np.random.default_rng(0)
        drawn = rng.integers(0, 256, (NUM_TRIED // 2, size + 9, size + 32, 3), dtype=np.uint8)
        pictures = [self.trained.preprocess(Image.fromarray(pixels)) for pixels in drawn]
        noise = rng.standard_normal((NUM_TRIED - len(pictures), 3, size, size))
        mixed = [x for pair in zip(pictures, torch.from_numpy(noise).float(), strict=True)
                 for x in pair]  # fmt: skip
        return torch.stack(mixed)

    @cached_property
    def logits(self) -> Tensor:
        """Our own logits [n, C] of them."""
        return self.head.logits(self.images).cpu()

    @property
    def template(self) -> str:
        """The prompt of the fixed-text methods."""
        return self.head.text.template


def whole(cfg: ClipConfig, seed: int) -> Any:
    """Return the open_clip module of a configuration, able to run texts itself: weights of a file
    are put into a skeleton, whose causal mask, being no weight, has no numbers."""
    module: Any = opened(cfg, seed)[0]
    text = text_tower(module)
    if text.attn_mask.is_meta:
        mask = torch.full(text.attn_mask.shape, -torch.inf).triu_(1)
        text.register_buffer("attn_mask", mask, persistent=False)
    return module


def description(model: str, module: Any) -> dict[str, Any]:
    """Return what open_clip builds a module of these sizes and activations from."""
    sizes, text = catalogue.config(model), text_tower(module)
    tower = {"vocab_size": len(text.token_embedding.weight)}
    if tower["vocab_size"] < sizes["text_cfg"].get("vocab_size", 0):  # it knows few words
        tower["eos_id"] = tower["vocab_size"] - 1
    activation = text.transformer.resblocks[0].mlp.gelu
    return {
        **sizes, "quick_gelu": is_quick_gelu(activation), "text_cfg": sizes["text_cfg"] | tower,
    }  # fmt: skip


def short(path: str | None) -> str | None:
    """Return a model's or a file's name without the folders of this machine."""
    return None if path is None else Path(path).name if "/" in path or "\\" in path else path
