"""Take the tensors out of a CLIP module of open_clip, or say why it does not fit."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pfedmma_dist.clip.block import Block, Norm
from pfedmma_dist.clip.embeddings import ImageEmbedding, TextEmbedding
from pfedmma_dist.clip.model import Dims, FrozenCLIP, Tokenizer
from pfedmma_dist.clip.tower import Tower

LARGEST_LOGARITHM = 20.0
"""Of the scale, far above any that training reaches, and far below what float32 overflows at."""

Cast = Callable[[Tensor], Tensor]

OpenClip = Any
"""A module of open_clip: what hangs below it is of kinds that `nn.Module` does not tell."""

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


def freeze(
    module: OpenClip,
    tokenizer: Tokenizer,
    device: torch.device,
    dtype: torch.dtype,
    *,
    plain: bool = False,
) -> FrozenCLIP:
    """Return the frozen form of an open_clip CLIP, its weights copied to a device and dtype.

    plain: keep the plain form (no shortcut). Raises ValueError as `measure` does; an image tower
    that is no plain ViT is kept as a module.
    """
    dims = measure(module)
    visual, text = module.visual, text_tower(module)
    wide = torch.promote_types(dtype, torch.float32)

    def narrow(x: Tensor) -> Tensor:
        return x.detach().to(device, dtype, copy=True)

    def broad(x: Tensor) -> Tensor:
        return x.detach().to(device, wide, copy=True)

    def norm(layer: nn.LayerNorm) -> Norm:
        return Norm(broad(layer.weight), broad(layer.bias), layer.eps)

    def tower(blocks: OpenClip, final: nn.LayerNorm, projection: OpenClip) -> Tower:
        if isinstance(projection, nn.Linear):
            projection = projection.weight.t()
        return Tower(
            [_block(block, narrow, norm) for block in blocks],
            blocks[0].attn.num_heads,
            norm(final),
            None if projection is None else broad(projection),
            quick_gelu=is_quick_gelu(blocks[0].mlp.gelu),
            dtype=dtype,
        )

    image = embed_image = None
    if not dims.why_no_image_tower:
        blocks = visual.transformer.resblocks
        image = tower(blocks, visual.ln_post, visual.proj)
        embed_image = ImageEmbedding(
            narrow(visual.conv1.weight),
            broad(visual.class_embedding),
            broad(visual.positional_embedding),
            None if isinstance(visual.ln_pre, nn.Identity) else norm(visual.ln_pre),
        )
    eos = getattr(text, "eos_id", None) or getattr(text, "text_eos_id", None)
    return FrozenCLIP(
        dims=dims,
        text=tower(text.transformer.resblocks, text.ln_final, text.text_projection),
        embed_text=TextEmbedding(
            narrow(text.token_embedding.weight),
            broad(text.positional_embedding),
            eos if _pool(text) == "eos" else None,
        ),
        image=image,
        embed_image=embed_image,
        image_module=visual.to(device, dtype) if image is None else None,
        scale=_scale(module),
        tokenizer=tokenizer,
        mean=_statistic(visual, "mean"),
        std=_statistic(visual, "std"),
        plain=plain,
    )


def measure(module: OpenClip) -> Dims:
    """Return the sizes of an open_clip CLIP, which may be on the meta device.

    Raises ValueError where the text tower is no causal transformer pooled at EOT.
    """
    visual, text = module.visual, text_tower(module)
    reason = _why_not_plain_text(text)
    if reason:
        raise ValueError(f"clip.model: its text tower {reason}; choose an OpenAI-style CLIP")
    projection, width = text.text_projection, text.ln_final.weight.numel()
    sizes = {
        "embed_dim": width if projection is None else projection.shape[1],
        "image_size": _side(visual),
        "text_width": width,
        "text_blocks": len(text.transformer.resblocks),
    }
    reason = _why_not_plain_image(visual)
    if reason:
        return Dims(**sizes, why_no_image_tower=reason)
    return Dims(
        **sizes,
        image_width=visual.conv1.out_channels,
        image_blocks=len(visual.transformer.resblocks),
        num_patches=visual.positional_embedding.shape[0] - 1,
    )


def _block(block: OpenClip, narrow: Cast, norm: Callable[[nn.LayerNorm], Norm]) -> Block:
    attention, mlp = block.attn, block.mlp
    return Block(
        ln_1=norm(block.ln_1),
        qkv_weight=narrow(attention.in_proj_weight),
        qkv_bias=narrow(attention.in_proj_bias),
        out_weight=narrow(attention.out_proj.weight),
        out_bias=narrow(attention.out_proj.bias),
        ln_2=norm(block.ln_2),
        fc_weight=narrow(mlp.c_fc.weight),
        fc_bias=narrow(mlp.c_fc.bias),
        proj_weight=narrow(mlp.c_proj.weight),
        proj_bias=narrow(mlp.c_proj.bias),
    )


def _why_not_plain_blocks(transformer: OpenClip) -> str:
    """Return what sets these blocks apart from OpenAI's, or nothing."""
    for block in getattr(transformer, "resblocks", [None]):
        if not isinstance(getattr(block, "attn", None), nn.MultiheadAttention):
            return "has blocks other than multi-head attention and MLP"
        if not isinstance(block.ls_1, nn.Identity) or not isinstance(block.ls_2, nn.Identity):
            return "has layer scale"
        if (
            not is_quick_gelu(block.mlp.gelu)
            and getattr(block.mlp.gelu, "approximate", "") != "none"
        ):
            return "has an activation other than GELU and QuickGELU"
    return ""


def _why_not_plain_image(visual: OpenClip) -> str:
    if not hasattr(visual, "class_embedding") or not hasattr(visual, "conv1"):
        return "is no Vision Transformer"
    if visual.attn_pool is not None or visual.pool_type != "tok":
        return "does not pool at its class token"
    return _why_not_plain_blocks(visual.transformer)


def _why_not_plain_text(text: OpenClip) -> str:
    if not hasattr(text, "token_embedding") or not hasattr(text, "positional_embedding"):
        return "is no CLIP text transformer"
    if getattr(text, "attn_mask", None) is None or getattr(text, "cls_emb", None) is not None:
        return "is not causal"
    if _pool(text) not in ("argmax", "eos"):
        return "does not pool at the end of the text"
    if isinstance(text.text_projection, nn.Linear):
        return "has a projection with a bias"
    return _why_not_plain_blocks(text.transformer)


def is_quick_gelu(activation: OpenClip) -> bool:
    """Say whether a module is QuickGELU."""
    return type(activation).__name__ == "QuickGELU"


def text_tower(module: OpenClip) -> OpenClip:
    """Return the text tower, which is part of the module itself in open_clip's CLIP class."""
    return getattr(module, "text", module)


def _pool(text: OpenClip) -> str:
    return str(getattr(text, "pool_type", None) or getattr(text, "text_pool_type", "argmax"))


def _scale(module: OpenClip) -> float:
    """Return what cosines are multiplied by: at most 100 in CLIP, whose logarithm is stored."""
    logarithm = module.logit_scale.item()
    if not abs(logarithm) <= LARGEST_LOGARITHM:
        raise ValueError(
            f"clip.pretrained: the weights have the logit_scale {logarithm}, where CLIP's is at "
            f"most 4.6052; they are damaged or no CLIP's"
        )
    return math.exp(logarithm)


def _side(visual: OpenClip) -> int:
    size = visual.image_size
    return size if isinstance(size, int) else size[0]


def _statistic(visual: OpenClip, which: str) -> tuple[float, ...]:
    """Return the channel means or deviations that the weights were trained with."""
    config = getattr(visual, "preprocess_cfg", {})
    default = OPENAI_MEAN if which == "mean" else OPENAI_STD
    return tuple(config.get(which) or default)
