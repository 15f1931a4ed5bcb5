"""MaPLe (Khattak et al., CVPR 2023) with FedAvg: text prompts that also write the image's tokens.

At the input of text block i stand n learned vectors P_i, those of block 0 with their positions in
the places of the first n words of "a photo of a <name>."; and image block i is given

    F_i(P_i) = P_i W_i' + b_i                               text width -> image width

behind the patches, those of block 0 before CLIP's first norm. Each of the `depth` blocks has its
own P_i and its own map F_i. The maps above the first start as copies of one draw, and the first is
another (so in the released code). The loss is plain cross-entropy.

At n = 2 and a depth of 9 blocks a client of ViT-B/16 trains, sends and receives 9 x 2 x 512 = 9,216
numbers of prompts and 9 x 768 x 513 = 3,545,856 of maps, 3,555,072 in all; `share: prompts` sends
the 9,216 and leaves the maps with the client. A cohort holds row, gradient and momentum of every
client, so set federation.cohort_size small. `start` above 0 is ours, as in IVLP.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompted_images import PromptedImages, prompted_blocks
from pfedmma_dist.methods.prompted_texts import WORDS, check_context, replaced_and_kept
from pfedmma_dist.methods.prompts import spell
from pfedmma_dist.params import Layout, ParamSpec, normal, torch_linear


class PromptShare(Enum):
    """Which of its parts cross the network."""

    all = ("prompts", "maps")
    prompts = ("prompts",)
    none = ()


@dataclass(kw_only=True)
class MaPLeOptions:
    """Options of MaPLe."""

    num_context: int = 2
    """Learned vectors n of a text block, and so tokens of an image block; 2 (paper)."""
    ctx_init: str | None = WORDS
    """Words of one token each before the class name, of which the first num_context are replaced
    and are what these vectors start as; null: no word, and draws from N(0, 0.02^2). Read at start
    0 alone."""
    depth: int | None = None
    """Blocks of both towers whose input has prompts; null takes three quarters of the smaller
    tower: 9 of 12 (paper)."""
    start: int = 0
    """The first such block of both towers, counted from 0; 0 (paper)."""
    share: PromptShare = PromptShare.all
    """`all` averages prompts and maps; `prompts` leaves each client its own maps; `none` trains
    each client's alone."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        check_context(self)


class MaPLe(PromptedImages):
    """MaPLe: learned vectors in the text tower, and maps of them to tokens of images, averaged."""

    name = "maple"
    Options = MaPLeOptions

    def __init__(self, options: MaPLeOptions, dims: Dims) -> None:
        super().__init__(options.start, dims)
        self.options = options
        smaller = min(dims.vit.blocks, dims.text_blocks)
        self.blocks = prompted_blocks(options.start, options.depth, smaller, "method.depth")
        prompt, out, into = options.num_context, dims.vit.width, dims.text_width
        shared, draw, specs = options.share.value, torch_linear(into), []
        for block in self.blocks:
            specs += [
                ParamSpec(
                    f"text.{block}", (prompt, into), normal(0.02), shared="prompts" in shared
                ),
                ParamSpec(f"map.{block}", (out, into), draw, shared="maps" in shared),
                ParamSpec(f"map.{block}.bias", (out,), draw, shared="maps" in shared),
            ]
        self.specs = tuple(specs)
        self.replaced, self.kept = replaced_and_kept(options)

    def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
        """Return the row [P + S] that every client starts from, with the words in it, and the maps
        above the first as copies of one draw."""
        first, *deep = self.blocks
        row = spell(layout.template(seed), layout, self.replaced, clip, f"text.{first}").clone()
        views = layout.views(row[None])  # filling them fills the row
        for block in deep:
            for end in ("", ".bias"):
                views[f"map.{block}{end}"].copy_(views[f"map.{deep[0]}{end}"])
        return row

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the prompts through the text tower: unit vectors [G, C, D]."""
        return text.prompted({block: params[f"text.{block}"] for block in self.blocks}, self.kept)

    def image_vectors(self, params: dict[str, Tensor], classes: Any) -> dict[int, Tensor]:
        """Return what the maps make of the prompts: block -> [G, n, W of images]."""
        return {
            block: params[f"text.{block}"] @ params[f"map.{block}"].mT
            + params[f"map.{block}.bias"][:, None]
            for block in self.blocks
        }
