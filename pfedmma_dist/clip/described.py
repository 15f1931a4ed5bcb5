"""A model that a JSON file describes: every size is bounded before anything is built of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pfedmma_dist.clip.tokens import VOCABULARY
from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import quoted


@dataclass(frozen=True)
class Size:
    """A size of a model, its bounds, and what it is where the file leaves it out."""

    least: float
    most: float
    default: float
    kind: type = int


WIDTH = 16_384
SIZES = {
    "vision_cfg": {
        "image_size": Size(1, 4096, 224),
        "patch_size": Size(1, 4096, 16),
        "layers": Size(1, 256, 12),
        "width": Size(1, WIDTH, 768),
        "head_width": Size(1, WIDTH, 64),
        "mlp_ratio": Size(0.01, 64, 4, float),
        "attn_pooler_queries": Size(1, WIDTH, 256),
        "attn_pooler_heads": Size(1, WIDTH, 8),
    },
    "text_cfg": {
        "context_length": Size(3, 8192, 77),
        "vocab_size": Size(VOCABULARY, 2_000_000, VOCABULARY),
        "layers": Size(1, 256, 12),
        "width": Size(1, WIDTH, 512),
        "heads": Size(1, WIDTH, 8),
        "mlp_ratio": Size(0.01, 64, 4, float),
    },
}
"""Several times the largest that was ever published under each name; the defaults are open_clip's.
The tokenizer is CLIP's own, so that a model knows all of its tokens."""

HEADS = {"vision_cfg": "head_width", "text_cfg": "heads"}
"""What the width of each tower is a multiple of, the image tower's if it is a plain transformer."""


def read_description(path: Path) -> dict[str, Any]:
    """Read a model in the format of open_clip's model_configs/*.json; ValueError for a size that
    no model has."""
    try:
        config = from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(
            f"clip.model: there is no file {path}; give the path of a model's description, or one "
            "of open_clip's names"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(f"clip.model: {path} cannot be read as JSON: {error}") from error
    if isinstance(config, dict) and "model_cfg" in config:  # as open_clip publishes weights
        config = config["model_cfg"]
    if not isinstance(config, dict):
        raise ValueError(f"clip.model: {path} holds {quoted(config)}, not an object of sizes")
    missing = {"embed_dim", *SIZES} - set(config)
    if missing:
        words = (
            "this is a model of transformers; choose one of open_clip's names, and give its folder "
            "or weights by clip.pretrained"
            if "model_type" in config or "architectures" in config
            else "describe the model as open_clip's model_configs/*.json do"
        )
        raise ValueError(f"clip.model: {path} lacks {', '.join(sorted(missing))}; {words}")
    for section in SIZES:
        if not isinstance(config[section], dict):
            raise ValueError(f"clip.model: {section} in {path} is no group of sizes")
    if "hf_tokenizer_name" in config["text_cfg"]:
        raise ValueError(f"clip.model: {path} names a tokenizer other than CLIP's own")
    _refuse_foreign_tower(config["vision_cfg"], path)
    _check(Size(1, WIDTH, 512), config["embed_dim"], path, "embed_dim")
    for section, sizes in SIZES.items():
        for name, size in sizes.items():
            if name in config[section]:
                _check(size, config[section][name], path, f"{section}.{name}")
    for section in SIZES:
        if "timm_model_name" in config[section] or isinstance(config[section].get("layers"), list):
            continue
        own = {**{name: size.default for name, size in SIZES[section].items()}, **config[section]}
        _check_together(section, own, path)
    return config


def _check(size: Size, value: Any, path: Path, name: str) -> None:
    """Refuse a value that is no such size."""
    if name == "vision_cfg.layers" and isinstance(value, list) and len(value) == 4:
        for stage in value:  # of a ResNet
            _check(size, stage, path, name + "[...]")
        return
    if name == "vision_cfg.patch_size" and value is None:  # of a ResNet too
        return
    kinds = int if size.kind is int else (int, float)
    sound = isinstance(value, kinds) and not isinstance(value, bool)
    if not (sound and size.least <= value <= size.most):
        noun = "a whole number" if size.kind is int else "a number"
        raise ValueError(
            f"clip.model: {path}: {name} is {quoted(value)}, not {noun} from {size.least:,} to "
            f"{size.most:,}"
        )


def _check_together(section: str, own: dict[str, Any], path: Path) -> None:
    """Refuse sizes of a tower that do not fit each other."""
    heads = HEADS[section]
    if own["width"] % own[heads]:
        raise ValueError(
            f"clip.model: {path}: {section}.width is {own['width']}, not a multiple of "
            f"{section}.{heads}, which is {own[heads]}"
        )
    if "patch_size" in own and not 0 < (own["patch_size"] or 0) <= own["image_size"]:
        raise ValueError(
            f"clip.model: {path}: {section}.patch_size is {own['patch_size']}, not a whole number "
            f"up to {section}.image_size, which is {own['image_size']}"
        )


def _refuse_foreign_tower(vision: dict[str, Any], path: Path) -> None:
    """Refuse an image tower that timm would fetch: a description is to need no network."""
    name = vision.get("timm_model_name", "plain")
    if not isinstance(name, str) or not re.fullmatch(r"[\w.]{1,80}", name):
        raise ValueError(
            f"clip.model: {path}: vision_cfg.timm_model_name is {quoted(name)}, not the name of an "
            "architecture of timm's"
        )
    if vision.get("timm_model_pretrained"):
        raise ValueError(
            f"clip.model: {path}: vision_cfg.timm_model_pretrained asks for weights from a "
            "network; leave it out, and give weights by clip.pretrained"
        )


def read_scaling(path: Path) -> dict[str, Any]:
    """Return what a description beside published weights says of pixels; empty for nothing."""
    try:
        config = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"clip.model: {path} cannot be read as JSON: {error}") from error
    told = config.get("preprocess_cfg", {}) if isinstance(config, dict) else {}
    if not isinstance(told, dict):
        raise ValueError(f"clip.model: preprocess_cfg in {path} is no group of numbers")
    for name in ("mean", "std"):
        three = told.get(name, (0.5, 0.5, 0.5))
        sound = isinstance(three, list | tuple) and len(three) == 3
        if not sound or not all(isinstance(x, int | float) and 0 < x < 1 for x in three):
            raise ValueError(
                f"clip.model: {path}: preprocess_cfg.{name} is {quoted(three)}, not three numbers "
                "between 0 and 1"
            )
    return {name: tuple(x) if isinstance(x, list) else x for name, x in told.items()}
