"""Zero-shot CLIP (Radford et al., ICML 2021): the reference line, with nothing to train."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method


@dataclass(kw_only=True)
class ZeroShotOptions:
    """None."""


class ZeroShot(Method):
    """Zero-shot CLIP: the class nearest to "a photo of a {name}."; nothing is trained or sent."""

    name = "zero_shot"
    Options = ZeroShotOptions

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Return the untouched CLIP's class vectors [1, C, D]."""
        return text.plain[None]
