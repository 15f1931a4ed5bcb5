"""Prompts: what methods that learn context vectors start them from, and how several are run."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.share import CommonShare, Share
from pfedmma_dist.params import Layout, ParamSpec, normal


def check_words(words: str | None) -> None:
    """Refuse an empty `ctx_init`."""
    if words is not None and not words.split():
        raise ValueError("method.ctx_init: no word in it; write some, or null for random draws")


def context(words: str | None, num_context: int, width: int, *, shared: bool) -> ParamSpec:
    """Return the context vectors: one for each of the words, or so many draws."""
    length = len(words.split()) if words else num_context
    return ParamSpec("context", (length, width), normal(0.02), shared=shared)


def common_and_own(
    num_context: int, width: int, share: CommonShare, num_common: int = 1, num_own: int = 1
) -> tuple[ParamSpec, ...]:
    """Return so many common prompts, which `share` may average, and so many of a client's own."""
    shape, counts = (num_context, width), {"common": num_common, "own": num_own}
    return tuple(
        ParamSpec(
            name,
            shape if count == 1 else (count, *shape),
            normal(0.02),
            shared=name in share.value,
        )
        for name, count in counts.items()
        if count
    )


def all_prompts(params: dict[str, Tensor], text: ClassText, *, unit: bool = True) -> Tensor:
    """Run common prompts, then a client's own, through the text tower: [G, N, C, D]."""
    each = [params[name] for name in ("common", "own") if name in params]
    contexts = torch.cat([x.reshape(len(x), -1, *x.shape[-2:]) for x in each], dim=1)
    vectors = text.with_context(contexts.flatten(0, 1), unit=unit)
    return vectors.unflatten(0, contexts.shape[:2])


def cut_to(
    lengths: Sequence[int],  # [R] context vectors of each row that count
    contexts: Tensor,  # [R, n, W]
    text: ClassText,
) -> Tensor:
    """Run contexts of these lengths through the text tower: unit vectors [R, C, D].

    Those of one length go together. What is cut off is read by nothing, so its gradient is 0.
    """
    rows = {n: [row for row, own in enumerate(lengths) if own == n] for n in sorted(set(lengths))}
    if len(rows) == 1:
        return text.with_context(contexts[:, : lengths[0]])
    found = [text.with_context(contexts[own, :length]) for length, own in rows.items()]
    order = torch.tensor([row for own in rows.values() for row in own]).argsort()
    return torch.cat(found)[order.to(contexts.device)]


def spell(
    row: Tensor, layout: Layout, words: str | None, clip: FrozenCLIP, name: str = "context"
) -> Tensor:
    """Let the vectors of a name in a row [P + S] start as the embeddings of words, if any."""
    if words is None:
        return row
    row = row.clone()
    vectors = layout.views(row[None])[name][0]  # a view: filling it fills the row
    vectors.copy_(embedded(words, clip, len(vectors)))
    return row


def embedded(words: str, clip: FrozenCLIP, num_context: int) -> Tensor:
    """Return the embeddings [n, W] of so many words, each of one token."""
    ids = clip.tokenizer([" ".join(words.split())])
    num_tokens = int(clip.embed_text.eot_index(ids)) - 1  # between start and end of text
    if num_tokens != num_context:
        raise ValueError(
            f"method.ctx_init: {words!r} is {num_tokens} tokens in {num_context} words; "
            "choose words of one token each, such as 'a photo of a'"
        )
    return clip.embed_text.token[ids[0, 1 : 1 + num_tokens].to(clip.device)]


class OnePrompt(Method):
    """What methods of one learned text context have in common."""

    def __init__(self, options: Any, dims: Dims, words: str | None = None) -> None:
        """options: with `num_context` and `share`. words: that the context starts as, if any."""
        self.options, self.words = options, words
        shared, width = options.share is Share.all, dims.text_width
        self.specs = (context(words, options.num_context, width, shared=shared),)

    def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
        """Return the row [P + S] that every client starts from, with the words in it."""
        return spell(layout.template(seed), layout, self.words, clip)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the prompts through the text tower: [G, C, D]."""
        return text.with_context(params["context"])

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors [G, 1, C, D]: images do not matter."""
        return classes[:, None]
