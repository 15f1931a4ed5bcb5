"""Weights that know few words, for the tiny model of the tests of loading."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tiny_files import state_of
from torch import Tensor

from pfedmma_dist.clip.load import tokenizer
from pfedmma_dist.clip.vocabulary import save

NAMES = ("striped fish", "plain cup", "dotted crown", "fish")
TEMPLATE = "a photo of a {}."
SAID = (*NAMES, TEMPLATE.format(""), "X")


def ids_of(model: str, texts: Sequence[str] = SAID) -> Tensor:
    """Return the ids of all tokens in these texts, ascending."""
    return tokenizer(model)(list(texts)).unique()


def save_small(model: str, path: Path, texts: Sequence[str] = SAID) -> dict[str, Tensor]:
    """Write random weights with the tokens of these texts; return all, as rounded in the file."""
    state = state_of()
    save(path, state, ids_of(model, texts))
    return {key: value.half().float() for key, value in state.items()}


def save_full(state: dict[str, Tensor], path: Path) -> Path:
    """Write a state dict with all its tokens."""
    torch.save(state, path)
    return path
