"""Written: a configuration as the YAML that reads back to it."""

from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import OmegaConf

from pfedmma_dist.config.keys import Config
from pfedmma_dist.reading import FORMAT


def to_yaml(config: Config) -> str:
    """Return the whole configuration as YAML; reading it back gives an equal one."""
    return f"format: {FORMAT}\n{OmegaConf.to_yaml(OmegaConf.create(_sections(config)))}"


def _sections(section: Any) -> dict[str, Any]:
    """Return keys and values as they are: what was typed as it was read needs no types again."""
    found = {item.name: getattr(section, item.name) for item in fields(section)}
    return {key: _sections(x) if is_dataclass(x) else x for key, x in found.items()}
