"""Towers: what a method that trains inside them, or reads all of their tokens, asks of a CLIP."""

from pfedmma_dist.clip.model import Dims


def need_vit(claim: str, dims: Dims) -> None:
    """Refuse a CLIP whose image tower our code cannot run; claim: what a method does in it."""
    if dims.why_no_image_tower:
        raise ValueError(
            f"method.name: {claim} the image tower, and that of clip.model "
            f"{dims.why_no_image_tower}; choose a ViT of OpenAI's kind, such as ViT-B-16"
        )


def top_blocks(name: str, num_blocks: int, dims: Dims) -> tuple[int, int]:
    """Return where the top blocks, in which a method trains, begin in (image, text) tower."""
    need_vit(f"{name} trains inside", dims)
    image_blocks = dims.vit.blocks
    depth = min(image_blocks, dims.text_blocks)
    if num_blocks > depth:
        raise ValueError(f"method.blocks: {num_blocks}; the smaller tower has {depth}")
    return image_blocks - num_blocks, dims.text_blocks - num_blocks
