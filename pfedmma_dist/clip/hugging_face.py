"""The names that Hugging Face's transformers gives the tensors of a CLIP, written as open_clip's.

They were read off transformers' CLIPModel, and are tested against one that it builds.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import quoted

CONFIG = "config.json"

TOWERS = {"text_model": "", "vision_model": "visual."}
"""transformers' name of a tower -> what stands before open_clip's names in it."""

NAMES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",  # spelt so by transformers
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "logit_scale": "logit_scale",
}
"""Of what stands once; the projections, which are transposed, are below."""

TRANSPOSED = {
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
}

IN_BLOCKS = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}

BLOCK = re.compile(r"(text_model|vision_model)\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
"""In the order of open_clip's one matrix."""

COUNTED = re.compile(r"(text_model|vision_model)\.embeddings\.position_ids")
"""Positions 0, 1, 2..., which older versions stored."""


EPS = 1e-5
"""Of the layer norms of OpenAI's and open_clip's towers."""


class Told(NamedTuple):
    """What a file, or a config.json beside it, tells of a CLIP that its tensors do not."""

    quick_gelu: bool | None = None
    heads: tuple[int, int] | None = None  # of the text tower and the image tower
    by_transformers: bool = False


def names(state: Iterable[str]) -> bool:
    """Say whether these are transformers' names of a CLIP."""
    marks = {
        "text_model.embeddings.token_embedding.weight",
        "vision_model.embeddings.class_embedding",
    }
    return len(marks.intersection(state)) == len(marks)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under open_clip's names; what has no name there keeps its own."""
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, x in state.items():
        block = BLOCK.fullmatch(name)
        if block:
            tower, index, inner, kind = block.groups()
            stem = f"{TOWERS[tower]}transformer.resblocks.{index}"
            if inner in QKV:
                parts.setdefault(f"{stem}.attn.in_proj_{kind}", {})[inner] = x
            else:
                found[f"{stem}.{IN_BLOCKS[inner]}.{kind}" if inner in IN_BLOCKS else name] = x
        elif name in TRANSPOSED and x.ndim == 2:
            found[TRANSPOSED[name]] = x.t().contiguous()
        elif not COUNTED.fullmatch(name):
            found[NAMES.get(name, name)] = x
    for name, three in parts.items():
        if len(three) == len(QKV) and len({x.shape[1:] for x in three.values()}) == 1:
            found[name] = torch.cat([three[part] for part in QKV])
    return found


def told_beside(path: Path) -> Told:
    """Return what transformers' config.json tells that lies beside a file of weights.

    Raises ValueError where the two towers have different activations, or another than CLIP's.
    """
    unknown = Told(by_transformers=True)
    try:
        config = from_json((path.parent / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return unknown
    if not isinstance(config, dict) or config.get("model_type") != "clip":
        return unknown
    found = (config.get(f"{tower}_config") for tower in ("text", "vision"))
    towers = [tower for tower in found if isinstance(tower, dict)]
    if len(towers) < 2:
        return unknown
    # What transformers leaves out is its default.
    acts = {tower.get("hidden_act", "quick_gelu") for tower in towers}
    heads = [tower.get("num_attention_heads", n) for tower, n in zip(towers, (8, 12), strict=True)]
    if acts not in ({"quick_gelu"}, {"gelu"}):
        raise ValueError(
            f"clip.pretrained: {path.parent / CONFIG} names the activations "
            f"{quoted(sorted(map(str, acts)))}; both towers of a CLIP here have quick_gelu, or gelu"
        )
    if any(tower.get("layer_norm_eps", EPS) != EPS for tower in towers):
        raise ValueError(
            f"clip.pretrained: {path.parent / CONFIG} has a layer_norm_eps other than {EPS}, which "
            "all CLIPs here have; choose other weights"
        )
    known = all(isinstance(n, int) for n in heads)
    return Told(acts == {"quick_gelu"}, tuple(heads) if known else None, by_transformers=True)
