"""Classes that CLIP cannot tell apart are refused by their tokens, without weights."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import make_lab

from pfedmma_dist import prepare
from pfedmma_dist.clip.alike import refuse_alike
from pfedmma_dist.clip.load import tokenizer
from pfedmma_dist.command import MEND
from pfedmma_dist.data.sets.names import heard

MODEL, TEMPLATE = "ViT-B-16", "a photo of a {}."
WORDS = ["caf\xe9", "fish", "O'Brien's", "rock & roll", '"x"', "\xc5ngstr\xf6m", "ofﬁce", "m\xb2"]
CHANGES = {
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "entities": lambda text: text.replace("&", "&amp;").replace('"', "&quot;"),
    "curly": lambda text: text.replace("'", "\u2019").replace('"', "\u201c"),
    "wide": lambda text: "".join(chr(ord(c) + 0xFEE0) if "A" <= c <= "z" else c for c in text),
    "ligature": lambda text: text.replace("fi", "\ufb01"),
    "spaces": lambda text: f" {text.replace(' ', chr(0xA0) + ' ')}",
    "upper": str.upper,
    "another": lambda text: f"{text}s",
}


@pytest.fixture(scope="module")
def rows():
    """Return a function from a name to the token ids of its prompt."""
    tokenize = tokenizer(MODEL)
    return lambda name: tuple(tokenize([TEMPLATE.format(name)])[0].tolist())


names = st.builds(
    lambda word, changes: (word, changes),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join),
    st.lists(st.sampled_from(sorted(CHANGES)), max_size=3),
)


def changed(name: tuple[str, list[str]]) -> str:
    text, changes = name
    for change in changes:
        text = CHANGES[change](text)
    return text


@settings(max_examples=300, deadline=None)
@given(one=names, other=names, related=st.booleans())
def test_names_are_heard_alike_just_where_their_tokens_are_equal(rows, one, other, related):
    first, second = changed(one), changed((one[0], other[1]) if related else other)
    assert (heard(first) == heard(second)) == (rows(first) == rows(second))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("room 12", "room 1 2"), "the same tokens to CLIP, 'room 12' and 'room 1 2'; join them"),
        (("t-shirt", "t - shirt"), "'t-shirt' and 't - shirt'"),
        (("\ufeff", "cat"), r"a class '.ufeff', of which CLIP reads nothing"),
        (("cat <end_of_text> a",), "holds the mark that ends a text for CLIP"),
        (("cat &lt;END_OF_TEXT&gt; a",), "holds the mark that ends a text for CLIP"),
        (("cat " * 90 + "a", "cat " * 90 + "b"), "does not fit the 77 tokens"),
    ],
    ids=["digits", "hyphen", "nothing", "end", "end in entities", "long"],
)
def test_classes_that_clip_would_mix_up_are_refused(names, words):
    with pytest.raises(ValueError, match=words):
        refuse_alike(MODEL, ("dog", *names), TEMPLATE, "the set")


def test_template_decides_what_is_alike():
    refuse_alike(MODEL, ("fox", "fox."), "a {}", "the set")
    with pytest.raises(ValueError, match="'fox' and 'FOX'"):
        refuse_alike(MODEL, ("fox", "FOX"), "{}s", "the set")


def test_names_of_the_glyphs_are_told_apart_by_the_mini_clip():
    refuse_alike("mini-clip", ("striped fish", "dotted fish"), TEMPLATE, "glyphs")


def test_prepare_refuses_them_too_before_an_image_is_decoded(tmp_path, capsys, monkeypatch):
    lab = make_lab(tmp_path, (2, 2))
    for part in ("train", "test"):
        (lab.data / part / "class_1").rename(lab.data / part / "class 0 0")
        (lab.data / part / "class_0").rename(lab.data / part / "class_00")
    monkeypatch.setattr("pfedmma_dist.prepare._unreadable", lambda *_: pytest.fail("decoded"))
    words = ["folder", f"data.root={lab.data}", f"clip.model={lab.path / 'clip.json'}"]
    assert prepare.main(words) == MEND
    assert "the same tokens to CLIP, 'class 0 0' and 'class 00'" in capsys.readouterr().err
