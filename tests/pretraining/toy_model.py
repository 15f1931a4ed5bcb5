"""A model small enough to be trained within a test, and a recipe of four steps for it."""

import json
from pathlib import Path

from pfedmma_dist.pretraining.recipe import Recipe

RECIPE = Recipe(images=32, batch=8, warmup_steps=2)


def toy_model(folder: Path) -> Path:
    """Write the model's file and return its path."""
    path = folder / "toy.json"
    vision = {"image_size": 40, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
    text = {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    sizes = {"embed_dim": 16, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    path.write_text(json.dumps(sizes))
    return path
