"""What a message, a script and a table can hold."""

from hypothesis import given
from hypothesis import strategies as st

from pfedmma_dist.spelling import LONGEST, control_in, nearest, quoted, spelled


@given(st.text())
def test_a_message_has_no_control_characters_but_its_line_breaks(text: str) -> None:
    assert control_in(spelled(text).replace("\n", "")) is None


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_text_of_any_language_is_left_as_it_is(text: str) -> None:
    assert spelled(text) == text


def test_an_escape_code_and_bytes_that_are_no_text_are_written_out() -> None:
    assert spelled("\x1b[31mred\udcff") == "\\x1b[31mred\\udcff"


def test_a_byte_that_is_no_text_is_called_so() -> None:
    assert control_in("caf\udce9") == r"a byte that is no UTF-8, b'\xe9'"
    assert control_in("a\tb") == r"the control character '\t'"


def test_of_a_long_value_both_ends_are_shown() -> None:
    told = quoted("a" * 5000 + "z")
    assert told.startswith("'aaa") and told.endswith("az'")
    assert len(told) == LONGEST + len("...")


def test_name_as_a_paper_writes_it_is_the_nearest() -> None:
    known = ["tip_adapter", "tip_adapter_f", "pfedmma", "optim.lr"]
    assert nearest("Tip-Adapter-F", known) == ["tip_adapter_f"]
    assert nearest("pFedMMA", known) == ["pfedmma"]
    assert nearest("optim.LR", known) == ["optim.lr"]
