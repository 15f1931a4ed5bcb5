"""A template puts the name of a class into a prompt, whatever braces either has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.templates import is_template
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

NAMES = ("cat", "{}", "a {b} c", "{{")


@given(st.text("{}a! :.0xr"))
def test_what_is_taken_holds_each_name_once_and_nothing_else_of_it(text: str) -> None:
    if is_template(text):
        before, after = (text.format(f"\n{name}\n").split(f"\n{name}\n") for name in NAMES[:2])
        assert before == after
        assert len(before) == 2


@pytest.mark.parametrize("name", NAMES)
def test_doubled_braces_are_braces_in_the_prompt(name: str) -> None:
    template = "a {{photo}} of {}."
    assert is_template(template)
    assert template.format(name) == f"a {{photo}} of {name}."


@pytest.mark.parametrize(
    "text",
    ["", "a photo", "{{}}", "{:}", "{}{}", "{} {x}", "{x}", "{0}", "{!r}", "{:>10}", "{", "{}}"],
)
def test_a_template_without_one_place_for_the_name_is_refused_by_key(text: str) -> None:
    with pytest.raises(ValueError) as error:
        read([f"data.template='{text}'"], methods=METHODS, sources=SOURCES)
    told = str(error.value)
    assert told.startswith(f"data.template: \"'{text}'\" is not text with exactly one {{}}")
    assert "for example 'data.template=a photo of a {}.'" in told
