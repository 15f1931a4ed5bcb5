"""Captions: their words are the vocabulary's, and each of them occurs."""

from pathlib import Path

import numpy as np
import open_clip
import pytest

from pfedmma_dist import rng
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.pretraining.batches import SEEN
from pfedmma_dist.pretraining.captions import FILLERS, captions, vocabulary

LENGTH = 32
BATCH = 64


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """The captions of 300 batches."""
    generator = rng.generator(0, "test captions")
    drawn = []
    for _ in range(300):
        combos = generator.choice(SEEN, BATCH, replace=False)
        colours = generator.integers(len(glyphs.COLOURS), size=BATCH)
        drawn += captions(generator, combos, colours, np.arange(BATCH) % len(glyphs.DOMAINS))
    return drawn


def tokens(texts: list[str]) -> set[int]:
    return set(open_clip.SimpleTokenizer(context_length=64)(texts).unique().tolist())


def test_vocabulary_is_exactly_what_captions_say(texts: list[str]) -> None:
    assert tokens(texts) == tokens(vocabulary())


def test_every_position_is_trained_and_none_is_passed(texts: list[str]) -> None:
    ends = open_clip.SimpleTokenizer(context_length=64)(texts).argmax(dim=1)
    assert set(range(20, LENGTH)) <= set(ends.tolist())
    assert ends.max() == LENGTH - 1


def test_fillers_are_one_token_each() -> None:
    encode = open_clip.SimpleTokenizer().encode
    assert all(len(encode(word)) == 1 for word in FILLERS)


@pytest.mark.parametrize(
    "prompt", ["a photo of a {}.", "x " * 16 + "{}.", "X X X X {}.", "a bad photo of the {}.", "{}"]
)
def test_prompts_of_users_have_known_words(prompt: str) -> None:
    assert tokens([prompt.format(name) for name in glyphs.CLASS_NAMES]) <= tokens(vocabulary())


def test_classes_kept_from_pretraining_are_never_shown() -> None:
    assert not np.intersect1d(SEEN, glyphs.HELD_OUT).size
    assert len(SEEN) + len(glyphs.HELD_OUT) == len(glyphs.PATTERNS) * len(glyphs.SHAPES)


def test_shares_of_colours_and_fillers(texts: list[str]) -> None:
    words = [set(text.replace("black and white", "").split()) for text in texts]
    assert (
        0.11 < np.mean([bool(own & set(glyphs.COLOURS)) for own in words]) < 0.15
    )  # 15 % of all but the batches with fillers
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    filled = [any(text.startswith("x x x x") for text in batch) for batch in batches]
    assert 0.10 < np.mean(filled) < 0.20


def test_assets_model_has_room_for_the_longest_caption() -> None:
    path = Path(glyphs.__file__).parents[2] / "assets" / "mini_clip.json"
    assert f'"context_length": {LENGTH}' in path.read_text()
