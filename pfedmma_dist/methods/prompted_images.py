"""Prompted images: what methods with learned tokens in the image tower have in common."""

from abc import abstractmethod
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP, ImageFeatures
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.towers import need_vit

DEEP = 3 / 4
"""Share of a tower's blocks that deep prompts are given to, unless told: 9 of 12."""


class PromptedImages(Method):
    """Images are run with tokens of a client's own from a block on, and compared with classes.

    What enters the first such block is frozen and kept. There the tokens are appended behind the
    patches, below block 0 before the norm as all tokens are; further blocks are given others in
    their place.
    """

    def __init__(self, start: int, dims: Dims) -> None:
        """start: the first block whose input has prompts, of each tower that has any."""
        need_vit(f"{self.name} trains inside", dims)
        fewest = min(dims.vit.blocks, dims.text_blocks)
        if not 0 <= start < fewest:
            raise ValueError(
                f"method.start: {start}; set 0 to {fewest - 1}, a block of both towers"
            )
        self.prompted = ImageFeatures(start=start, entry=True)
        self.images = self.prompted

    @abstractmethod
    def image_vectors(self, params: dict[str, Tensor], classes: Any) -> dict[int, Tensor]:
        """Return the tokens of the image tower: block -> [G, k, W]."""

    def see(self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP) -> Any:
        """Run the images with this client's tokens: unit vectors [G, B, D]."""
        prompts = clip.image_prompts(self.image_vectors(params, classes))
        return encode(clip, images, self.prompted, prompts=prompts)

    def logits(
        self, params: dict[str, Tensor], classes: Any, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return logits [G, B, C] of unit vectors [G, B, D], and of classes [G, C, D]."""
        return cosine_logits(images, classes, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP
    ) -> Tensor:
        """Return the image vectors [G, B, 1, D]."""
        return self.see(params, classes, images, clip)[:, :, None]


def prompted_blocks(start: int, depth: int | None, num_blocks: int, key: str) -> range:
    """Return the blocks of a tower whose input has prompts; depth None: three quarters of all, as
    far as there are so many from `start` on. key: what sets the depth."""
    left = num_blocks - start
    if depth is None:
        depth = min(left, max(1, round(DEEP * num_blocks)))
    if not 1 <= depth <= left:
        raise ValueError(
            f"{key}: {depth} blocks from block {start} on, of a tower of {num_blocks}; set 1 to "
            f"{left}"
        )
    return range(start, start + depth)
