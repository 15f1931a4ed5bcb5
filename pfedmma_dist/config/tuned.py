"""Tuned presets: what was chosen for weights that a method's own defaults do not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pfedmma_dist.config.command_line import Sources, from_yaml
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.config.presets import find

PRESET = "configs/method/{weights}/{method}.yaml"
"""Where presets of methods for weights of that name are."""


def untuned(config: Config, methods: Mapping[str, Any], sources: Sources) -> str:
    """Say that a run has the default rate where a preset for its weights has another; nothing
    where it has not."""
    weights, usual = config.clip.pretrained or "", OptimConfig().lr
    word = PRESET.format(weights=weights, method=config.method["name"])
    path = find(word) if Path(weights).name == weights and weights else None
    if path is None or config.optim.lr != usual:
        return ""
    tuned = from_yaml(path, methods=methods, sources=sources).optim.lr
    if tuned == usual:
        return ""
    return (
        f"optim.lr: {usual:g} is the default, and {tuned:g} was chosen for clip.pretrained="
        f"{weights}, on which the default may move nothing; put {word} behind the other files, or "
        "set optim.lr"
    )
