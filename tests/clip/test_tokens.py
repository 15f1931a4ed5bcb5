"""What cannot be said to a CLIP that knows few words is refused in the user's own words."""

from pathlib import Path

import pytest
import torch
from small_files import ids_of, save_small
from tiny_files import Describe, loaded

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import tokenizer
from pfedmma_dist.clip.model import Tokenizer
from pfedmma_dist.clip.tokens import restricted


@pytest.fixture
def few(describe: Describe) -> Tokenizer:
    model = describe()
    return restricted(tokenizer(model), ids_of(model), "small.safetensors")


def test_ids_are_places_among_the_stored_ones(describe: Describe, few: Tokenizer) -> None:
    texts = ["a photo of a striped fish.", "plain cup"]
    stored = ids_of(describe())
    assert torch.equal(stored[few(texts)], tokenizer(describe())(texts))


def test_the_end_of_a_text_keeps_the_largest_number(describe: Describe, few: Tokenizer) -> None:
    texts = ["a photo of a striped fish.", "plain cup"]
    assert few(texts).argmax(dim=1).tolist() == tokenizer(describe())(texts).argmax(dim=1).tolist()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a photo of a zebra.", "'zebra' in 'a photo of a zebra.'"),
        ("a photo of a Zebra, fish", "'Zebra' in"),
        ("a quetzalcoatlus fish", "'quetzalcoatlus' in"),
        ("a fish of boeing-747", "'boeing-747' in"),
        ("zebra fish zebra crossing.", "'zebra' 'crossing' in"),
        ("a fish!", "'fish!' in 'a fish!'"),
        ("a photo of a 鱼", "'鱼' in"),
        ("fishfish", "'fishfish' in"),
    ],
)
def test_a_strange_word_is_named_as_the_user_wrote_it(
    few: Tokenizer, text: str, named: str
) -> None:
    with pytest.raises(ValueError) as refused:
        few(["a photo of a fish.", text])
    assert f"and not {named}" in str(refused.value)


def test_the_message_says_how_much_is_known_and_what_to_do(few: Tokenizer) -> None:
    with pytest.raises(
        ValueError,
        match=r"clip\.pretrained: small\.safetensors knows only 14 of CLIP's 49,408 tokens.*"
        r"'zebra' in 'a zebra', nor those of 1 more texts; keep class names, data\.template and "
        r"the method's context or templates to its words .*data\.name=glyphs.* another clip\.model "
        r"and clip\.pretrained",
    ):
        few(["fish", "a zebra", "a dog"])


def test_a_prompt_too_long_is_refused_before_its_words(few: Tokenizer) -> None:
    with pytest.raises(ValueError, match="does not fit the 20 tokens"):
        few([" ".join(["zebra"] * 19)])


@pytest.mark.parametrize(
    ("names", "template"), [(("zebra",), "a {}."), (("fish",), "a zebra of a {}.")]
)
def test_names_and_template_reach_the_tokenizer_of_a_loaded_clip(
    describe: Describe, tmp_path: Path, names: tuple[str, ...], template: str
) -> None:
    model, path = describe(quick_gelu=True), tmp_path / "small.safetensors"
    save_small(model, path)
    text = class_text(loaded(model, path), names, template)
    with pytest.raises(ValueError, match=r"small\.safetensors knows only .* not 'zebra' in 'a "):
        text.plain  # noqa: B018


def test_the_holders_of_a_context_are_words_too(describe: Describe, tmp_path: Path) -> None:
    model, path = describe(quick_gelu=True), tmp_path / "small.safetensors"
    save_small(model, path, ["a striped fish."])
    text = class_text(loaded(model, path), ("fish",), "a {}.")
    with pytest.raises(ValueError, match="not 'X' in 'X X fish.'"):
        text.with_context(torch.zeros(1, 2, 16))
