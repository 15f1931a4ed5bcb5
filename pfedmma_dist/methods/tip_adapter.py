"""Tip-Adapter and Tip-Adapter-F (Zhang et al., ECCV 2022): a client's own images vote, in private.

    logits_c = scale * <x, z_c> + alpha * sum over keys k of class c of exp(-beta (1 - <x, k>))

with z_c the template's class vectors and as keys the unit vectors of the client's N training images
(own_images.py), filled before its first round. Tip-Adapter trains nothing; Tip-Adapter-F trains
the keys, N D numbers: 40,960 for 80 images at D = 512. Nothing is sent. On classes that nobody
trains on zero-shot stands alone.

alpha and beta are chosen on validation images, never on test images: train with data.validation
above 0, then `python -m pfedmma_dist.evaluate RUN --search`, which tries the 200 x 20 values of
`own_images.GRID`. The published code takes the mean of ten augmented views of an image as its
key, where we take one view, its centre crop (with data.views=V the first of them); it writes 100 in
place of CLIP's scale; and its Tip-Adapter-F keeps the epoch that is best on test images, which is
not done here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods import own_images
from pfedmma_dist.methods.method import cosine_logits, encode
from pfedmma_dist.methods.searched import Grid, Searched


@dataclass(kw_only=True)
class TipAdapterOptions:
    """Options of both."""

    alpha: float = 1.0
    """Weight of the images' votes beside zero-shot logits; 1 to 3 to start from (released
    configurations), then `evaluate RUN --search` on validation images."""
    beta: float = 5.5
    """Sharpness of a vote: how fast it falls with the distance of two images; 1 to 5.5 to start
    from (released configurations), then `evaluate RUN --search` on validation images."""

    def __post_init__(self) -> None:
        own_images.check(self.alpha, self.beta)


class TipAdapter(Searched):
    """Tip-Adapter: zero-shot CLIP and the votes of a client's own images; nothing is trained."""

    name = "tip_adapter"
    Options: ClassVar[type] = TipAdapterOptions
    neutral: tuple[str, ...] = ("values",)
    grid: ClassVar[Grid] = own_images.GRID
    counts = True

    def __init__(
        self, options: TipAdapterOptions, dims: Dims, num_classes: int = 50, num_images: int = 80
    ) -> None:
        """num_images: of the client that has the most."""
        self.options, self.num_classes, self.num_images = options, num_classes, num_images
        self.specs = own_images.parts(num_images, dims.embed_dim, trained=not self.counts)

    def begin(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the cache of a client with these images."""
        return own_images.filled(images, labels, self.num_images)

    def classes(
        self, params: dict[str, Tensor], prepared: Any, text: ClassText
    ) -> tuple[Tensor, bool]:
        """Return the untouched class vectors [1, C, D], and whether keys have anything to say."""
        return text.plain[None], text.is_trained

    def logits(
        self,
        params: dict[str, Tensor],
        classes: tuple[Tensor, bool],
        images: Tensor,
        clip: FrozenCLIP,
    ) -> Tensor:
        """Add the votes of the client's own images to zero-shot: [G, B, C]."""
        own = {"beta": [self.options.beta], "alpha": [self.options.alpha]}
        [logits] = self.over(params, classes, images, clip, own)
        return logits

    def over(
        self,
        params: dict[str, Tensor],
        classes: tuple[Tensor, bool],
        images: Tensor,
        clip: FrozenCLIP,
        grid: Grid,
    ) -> Iterator[Tensor]:
        """Yield the same for each beta and, inside, each alpha of the grid."""
        vectors, voting = classes
        final = encode(clip, images, self.images)
        logits = cosine_logits(final, vectors, clip.scale)
        for beta in grid["beta"]:
            found = own_images.votes(params, final, beta, self.num_classes) if voting else None
            for alpha in grid["alpha"]:
                yield logits if found is None else logits + alpha * found


class TipAdapterF(TipAdapter):
    """Tip-Adapter-F: its keys are trained from the client's own images on; nothing is sent."""

    name = "tip_adapter_f"
    counts = False
