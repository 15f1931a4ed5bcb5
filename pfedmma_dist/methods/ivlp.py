"""IVLP (independent vision-language prompting, in Khattak et al., CVPR and ICCV 2023) with FedAvg.

Both towers have learned tokens, and neither those of the other. In texts n vectors stand in the
places of the first n words of "a photo of a <name>.", their positions added; at the input of each
of the next depth - 1 blocks n others replace them, without positions. Images have k tokens behind
the patches, as in VPT. The loss is plain cross-entropy.

At n = k = 4 and a depth of 9 blocks a client of ViT-B/16 trains, sends and receives 9 x 4 x (512 +
768) = 46,080 numbers. Where n is smaller than the count of words, the others stay as they are.
`start` above 0, which is ours, replaces as many of the first words of data.template at the input of
that block, in texts, and appends to the input of the same block, in images.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompted_images import PromptedImages, prompted_blocks
from pfedmma_dist.methods.prompted_texts import WORDS, check_context, replaced_and_kept
from pfedmma_dist.methods.prompts import spell
from pfedmma_dist.methods.share import TowerShare
from pfedmma_dist.params import Layout, ParamSpec, normal


@dataclass(kw_only=True)
class IVLPOptions:
    """Options of IVLP."""

    num_context: int = 4
    """Learned vectors n of the text tower; 4 (released code of PromptSRC)."""
    num_tokens: int = 4
    """Learned tokens k of the image tower, behind the patches; 4 (released code of PromptSRC)."""
    ctx_init: str | None = WORDS
    """Words of one token each before the class name, of which the first num_context are replaced
    and are what these vectors start as; null: no word, and draws from N(0, 0.02^2). Read at start
    0 alone."""
    text_depth: int | None = None
    """Blocks of the text tower whose input has vectors of its own; null takes three quarters of
    them: 9 of 12 (released code)."""
    image_depth: int | None = None
    """The same of the image tower."""
    start: int = 0
    """The first such block of both towers, counted from 0; 0 (paper)."""
    share: TowerShare = TowerShare.all
    """Which prompts are averaged, `text` or `image`; the others are a client's own."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context", "num_tokens")
        check_context(self)


class IVLP(PromptedImages):
    """IVLP: learned tokens in both towers, averaged by FedAvg."""

    name = "ivlp"
    Options = IVLPOptions

    def __init__(self, options: IVLPOptions, dims: Dims) -> None:
        super().__init__(options.start, dims)
        self.options = options
        sizes = {
            "text": (options.text_depth, dims.text_blocks, options.num_context, dims.text_width),
            "image": (options.image_depth, dims.vit.blocks, options.num_tokens, dims.vit.width),
        }
        self.blocks, specs = {}, []
        for tower, (depth, num_blocks, *shape) in sizes.items():
            key = f"method.{tower}_depth"
            self.blocks[tower] = prompted_blocks(options.start, depth, num_blocks, key)
            shared = tower in options.share.value
            specs += [
                ParamSpec(f"{tower}.{block}", tuple(shape), normal(0.02), shared=shared)
                for block in self.blocks[tower]
            ]
        self.specs = tuple(specs)
        self.replaced, self.kept = replaced_and_kept(options)

    def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
        """Return the row [P + S] that every client starts from, with the words in it."""
        return spell(layout.template(seed), layout, self.replaced, clip, "text.0")

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the prompts through the text tower: unit vectors [G, C, D]."""
        return text.prompted(self.vectors(params, "text"), self.kept)

    def image_vectors(self, params: dict[str, Tensor], classes: Any) -> dict[int, Tensor]:
        """Return the tokens of the image tower: block -> [G, k, W]."""
        return self.vectors(params, "image")

    def vectors(self, params: dict[str, Tensor], tower: str) -> dict[int, Tensor]:
        """Return the learned vectors of a tower by block."""
        return {block: params[f"{tower}.{block}"] for block in self.blocks[tower]}
