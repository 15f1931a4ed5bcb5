"""Texts to token ids, and clear words where a text cannot be said to this CLIP."""

import string
from collections.abc import Callable
from itertools import compress

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Tokenizer
from pfedmma_dist.spelling import quoted

VOCABULARY = 49_408
"""Tokens of CLIP's own byte-pair encoding."""
PADDING, START, END = 0, VOCABULARY - 2, VOCABULARY - 1
"""Ids that stand in every sequence, whatever its text."""


def strict(tokenizer: Callable) -> Tokenizer:
    """Wrap an open_clip tokenizer, which cuts what is too long, into one that refuses it."""

    def tokenize(texts: list[str]) -> Tensor:
        ids = tokenizer(texts)
        whole = tokenizer(texts, context_length=2 * ids.shape[1])[:, : ids.shape[1]]
        for text, cut in zip(texts, (ids != whole).any(dim=1), strict=True):
            if cut:  # its last token gave way to EOT
                raise ValueError(
                    f"data.template: the prompt {quoted(text)} does not fit the {ids.shape[1]} "
                    "tokens of the text tower; shorten it, or the class name by data.class_names, "
                    "or the method's context or templates"
                )
        return ids

    return tokenize


def restricted(tokenizer: Tokenizer, stored: Tensor, source: str) -> Tokenizer:
    """Wrap a tokenizer for a CLIP that holds the embedding of some tokens alone.

    Returns places in `stored` [n], the ids of these tokens; they ascend, so that the end of a text
    keeps the largest number. source: the weights, for the message about a text with other words.
    """
    stored = stored.long()

    def strange(texts: list[str]) -> list[bool]:
        return (~torch.isin(tokenizer(texts), stored)).any(dim=1).tolist()

    def tokenize(texts: list[str]) -> Tensor:
        refused = list(compress(texts, strange(texts)))
        if refused:
            more = f", nor those of {len(refused) - 1} more texts" if len(refused) > 1 else ""
            raise ValueError(
                f"clip.pretrained: {source} knows only {len(stored)} of CLIP's {VOCABULARY:,} "
                f"tokens, those of the world it was trained on, and not "
                f"{_words(refused[0], strange)} in {refused[0]!r}{more}; keep class names, "
                "data.template and the method's context or templates to its words (for the "
                "mini-CLIP, those of data.name=glyphs), or choose another clip.model and "
                "clip.pretrained for this data, such as ViT-B-16 and openai"
            )
        return torch.searchsorted(stored, tokenizer(texts))

    return tokenize


def _words(text: str, strange: Callable[[list[str]], list[bool]]) -> str:
    """Return what the user wrote in a text where its strange tokens stand."""
    chunks = text.split()
    chunks = list(dict.fromkeys(compress(chunks, strange(chunks))))
    bare = [chunk.strip(string.punctuation) for chunk in chunks]
    words = [w if bad else c for w, c, bad in zip(bare, chunks, strange(bare), strict=True)]
    return " ".join(map(repr, words))
