"""Zero-shot CLIP (Radford et al., ICML 2021): the reference line, with nothing to train."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.templates import spelled_out
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.templates import check_templates


@dataclass(kw_only=True)
class ZeroShotOptions:
    """Options of zero-shot CLIP."""

    templates: list[str] | None = key(None, since=1)
    """Prompts whose unit vectors are averaged (template ensemble): texts with {} for the class
    name, or `clip7` and `clip80` for those that CLIP's authors published for ImageNet and
    `promptsrc60` for PromptSRC's choice of these; null is data.template alone. Not read by the
    run's own reference line."""

    def __post_init__(self) -> None:
        if self.templates is not None:
            check_templates(self.templates)


class ZeroShot(Method):
    """Zero-shot CLIP: the class nearest to "a photo of a {name}."; nothing is trained or sent."""

    name = "zero_shot"
    Options = ZeroShotOptions

    def __init__(self, options: ZeroShotOptions, dims: Dims) -> None:
        self.templates = None if options.templates is None else spelled_out(options.templates)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Return the untouched CLIP's class vectors [1, C, D]."""
        vectors = text.plain if self.templates is None else text.ensemble(self.templates)
        return vectors[None]
