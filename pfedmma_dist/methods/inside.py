"""Inside: what is trained in the attention of the top blocks of both towers, of low rank.

To the frozen matrices of queries, keys, values and output that `projections` names, each client
adds a product of its own: W h + b becomes W h + b + up down h. The template prompts are run at
every step, with the client's own text tower. What a round has merged into the frozen matrices, and
what a step of training drops, comes with `prepared`.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.low_rank import Inside, LowRank
from pfedmma_dist.clip.model import Dims, FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.dropout import Dropout
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.towers import top_blocks
from pfedmma_dist.rng import Key

TOWERS = ("image", "text")


@dataclass(frozen=True)
class Held:
    """What `classes` and `logits` read beside a client's own numbers."""

    clip: FrozenCLIP | None = None  # with what was merged; None: as it is
    text: ClassText | None = None  # in that CLIP
    dropout: Dropout | None = None  # None: in scores
    ranks: Tensor | None = None  # [G] int64 of the terms; None: all are as wide as can be


@dataclass(frozen=True)
class Classes:
    """The class side of a cohort."""

    vectors: Tensor  # [G, C, D]
    held: Held


class InsideAttention(Method):
    """The forward pass of methods with trained terms inside attention."""

    dropout: float = 0.0
    """Share of a term's inputs that a step of training does without."""

    def __init__(self, blocks: int, projections: str, dims: Dims) -> None:
        """blocks: of the top of both towers. projections: letters of q, k, v and o."""
        self.image_start, self.text_start = top_blocks(self.name, blocks, dims)
        self.images = ImageFeatures(start=self.image_start, entry=True)
        self.blocks, self.projections = blocks, projections
        self.widths = dict(zip(TOWERS, (dims.vit.width, dims.text_width), strict=True))

    def places(self) -> Iterator[tuple[str, int]]:
        """Yield (place of a term, width of its matrix); level 0 is the lowest block."""
        for level in range(self.blocks):
            for tower, width in self.widths.items():
                for letter in self.projections:
                    yield f"{level}.{tower}.{letter}", width

    def located(self, place: str) -> tuple[str, int, str]:
        """Return (tower, index of the block, letter) of a place."""
        level, tower, letter = place.split(".")
        start = self.text_start if tower == "text" else self.image_start
        return tower, start + int(level), letter

    @abstractmethod
    def factors(self, params: dict[str, Tensor], place: str) -> tuple[Tensor, Tensor]:
        """Return (down [G, r, in], up [G, out, r]) of the term at a place."""

    def draw(self, prepared: Any, keys: Sequence[Key]) -> Any:
        """Draw what a training step drops."""
        if not self.dropout:
            return prepared
        return replace(prepared or Held(), dropout=Dropout(self.dropout, keys))

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Classes:
        """Run the template prompts with this client's terms in the text tower: [G, C, D]."""
        held = prepared or Held()
        num_clients = len(next(iter(params.values())))
        inside = self._inside(params, "text", self.text_start, text.clip.text.dtype, held)
        vectors = (held.text or text).adapted(inside, self.text_start, num_clients)
        return Classes(vectors, held)

    def logits(
        self, params: dict[str, Tensor], classes: Classes, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Compare the images, as this client sees them, with the classes: [G, B, C]."""
        seen = self._encoded(params, images, clip, classes.held)
        return cosine_logits(seen, classes.vectors, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Classes, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the image vectors [G, B, 1, D]."""
        return self._encoded(params, images, clip, classes.held)[:, :, None]

    def _encoded(
        self, params: dict[str, Tensor], images: Tensor, clip: FrozenCLIP, held: Held
    ) -> Tensor:
        """Run the images with this client's terms in the image tower: [G, B, D]."""
        inside = self._inside(params, "image", self.image_start, clip.text.dtype, held)
        return encode(held.clip or clip, images, self.images, inside=inside)

    def _inside(
        self, params: dict[str, Tensor], tower: str, start: int, dtype: torch.dtype, held: Held
    ) -> Inside:
        """Return the terms of one tower by block."""

        def term(place: str) -> LowRank:
            down, up = self.factors(params, place)
            drop = held.dropout.of(place) if held.dropout else None
            return LowRank(down.to(dtype), up.to(dtype), drop)

        return lambda block: {
            letter: term(f"{block - start}.{tower}.{letter}") for letter in self.projections
        }


def check_projections(projections: str) -> None:
    """Refuse what are not letters of q, k, v and o, each once."""
    letters = set(projections)
    if not letters or letters - set("qkvo") or len(letters) < len(projections):
        raise ValueError(
            f"method.projections: {projections!r}; write some of the letters q, k, v and o, each "
            "once, such as qv"
        )
