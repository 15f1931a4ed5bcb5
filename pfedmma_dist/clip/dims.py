"""Dims: the sizes of a CLIP, which are enough to count a method's parameters."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Vit:
    """Sizes of an image tower that our own code runs."""

    width: int
    blocks: int
    num_patches: int


@dataclass(frozen=True)
class Dims:
    """Sizes of a CLIP; enough to count parameters without weights."""

    embed_dim: int  # D
    image_size: int  # pixels
    text_width: int
    text_blocks: int
    image_width: int | None = None  # None: the image tower is not a plain ViT
    image_blocks: int | None = None
    num_patches: int | None = None
    why_no_image_tower: str = ""
    """What keeps the image tower from being run by our own code; methods that train inside it
    refuse such a model, the others read its final features."""

    @property
    def vit(self) -> Vit:
        """Return the sizes of the image tower; who asks has seen that it is a plain ViT."""
        width, blocks, num_patches = self.image_width, self.image_blocks, self.num_patches
        assert width is not None and blocks is not None and num_patches is not None
        return Vit(width, blocks, num_patches)
