"""VPT (Jia et al., ECCV 2022) on CLIP, averaged by FedAvg: learned tokens in the image tower.

k tokens are appended behind the patches at the input of block 0, before CLIP's first norm (so in
the code of MaPLe and PromptSRC; the paper puts them behind CLS). Shallow prompts go through all
blocks; deep ones are replaced by k others at the input of each of the next depth - 1 blocks. The
class side is CLIP's with data.template; the loss is plain cross-entropy.

At k = 4 and width 768 a client trains, sends and receives 3,072 numbers, as many as pFedMMA sends;
at a depth of 9 blocks 27,648. `start` above 0 appends the tokens to the input of that block, as
they are: what enters it stays frozen, so that blocks below it are run once for all rounds. That is
ours, as is FedAvg.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompted_images import PromptedImages, prompted_blocks
from pfedmma_dist.methods.share import Share
from pfedmma_dist.params import ParamSpec, normal


@dataclass(kw_only=True)
class VPTOptions:
    """Options of VPT."""

    num_tokens: int = 4
    """Learned tokens k behind the patches; 4 (released code of MaPLe)."""
    depth: int | None = 1
    """Blocks whose input has tokens of its own: 1 is shallow; null is deep, three quarters of the
    tower, 9 of 12 (released code of PromptSRC)."""
    start: int = 0
    """The first of them, counted from 0; 0 (paper)."""
    share: Share = Share.all
    """`all` averages the tokens; `none` trains each client's alone (local VPT)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_tokens")


class VPT(PromptedImages):
    """VPT: learned tokens in the image tower, averaged by FedAvg."""

    name = "vpt"
    Options = VPTOptions

    def __init__(self, options: VPTOptions, dims: Dims) -> None:
        super().__init__(options.start, dims)
        self.options = options
        blocks = prompted_blocks(options.start, options.depth, dims.vit.blocks, "method.depth")
        shape, shared = (options.num_tokens, dims.vit.width), options.share is Share.all
        self.specs = tuple(
            ParamSpec(f"image.{block}", shape, normal(0.02), shared=shared) for block in blocks
        )
        self.blocks = blocks

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Return the untouched CLIP's unit vectors [1, C, D]."""
        return text.plain[None]

    def image_vectors(self, params: dict[str, Tensor], classes: Any) -> dict[int, Tensor]:
        """Return the tokens of the image tower: block -> [G, k, W]."""
        return {block: params[f"image.{block}"] for block in self.blocks}
