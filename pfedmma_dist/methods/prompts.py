"""Prompts: what methods that learn context vectors start them from."""

from torch import Tensor

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.params import Layout, ParamSpec, normal


def check_words(words: str | None) -> None:
    """Refuse an empty `ctx_init`."""
    if words is not None and not words.split():
        raise ValueError("method.ctx_init: no word in it; write some, or null for random draws")


def context(words: str | None, num_context: int, width: int, *, shared: bool) -> ParamSpec:
    """Return the context vectors: one for each of the words, or so many draws."""
    length = len(words.split()) if words else num_context
    return ParamSpec("context", (length, width), normal(0.02), shared=shared)


def spell(row: Tensor, layout: Layout, words: str | None, clip: FrozenCLIP) -> Tensor:
    """Let the context in a row [P + S] start as the embeddings of words, where there are any."""
    if words is None:
        return row
    ids = clip.tokenizer([" ".join(words.split())])
    num_tokens = int(clip.embed_text.eot_index(ids)) - 1  # between start and end of text
    row = row.clone()
    vectors = layout.views(row[None])["context"][0]  # a view: filling it fills the row
    if num_tokens != len(vectors):
        raise ValueError(
            f"method.ctx_init: {words!r} is {num_tokens} tokens in {len(vectors)} words; "
            "choose words of one token each, such as 'a photo of a'"
        )
    vectors.copy_(clip.embed_text.token[ids[0, 1 : 1 + num_tokens].to(clip.device)])
    return row
