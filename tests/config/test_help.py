"""--help and --list say what the source says."""

from dataclasses import dataclass, fields, is_dataclass

import pytest

from pfedmma_dist.config import command_line
from pfedmma_dist.config.help import WIDTH, field_docs, listing, manual
from pfedmma_dist.config.keys import Config, FederationConfig
from pfedmma_dist.config.merge import leaves, shown


@dataclass(kw_only=True)
class BaseOptions:
    """Options shared by the toys."""

    depth: int = 3
    """Blocks from the top,
    counted in both towers."""


@dataclass(kw_only=True)
class ToyOptions(BaseOptions):
    """Options of the toy."""

    words: str | None = None
    """First words of the prompt."""
    silent: bool = False


class Toy:
    """Train nothing at all.

    A second paragraph.
    """

    Options = ToyOptions


def read_toys() -> None:
    """Read a box of toys."""


def test_manual_holds_every_key_with_its_default_and_meaning() -> None:
    text = " ".join(manual({"toy": Toy}).split())
    for key, leaf in leaves(Config).items():
        if key != "method":
            assert f" {key}={shown(leaf.default)} " in text
    for doc in field_docs(FederationConfig).values():
        assert doc in text


def test_manual_lists_the_options_of_every_method() -> None:
    text = " ".join(manual({"toy": Toy}).split())
    assert "with method.name=toy: Train nothing at all. method.depth=3" in text
    assert "method.words=null text, or null First words of the prompt." in text


def test_manual_fits_a_terminal() -> None:
    assert max(map(len, manual({"toy": Toy}).splitlines())) <= WIDTH + 4


def test_every_configuration_key_has_a_docstring() -> None:
    for item in fields(Config):
        if is_dataclass(item.type):
            assert all(field_docs(item.type).get(one.name) for one in fields(item.type))
        else:
            assert field_docs(Config).get(item.name)


def test_inherited_fields_keep_their_docstrings() -> None:
    assert field_docs(ToyOptions) == {
        "depth": "Blocks from the top, counted in both towers.",
        "words": "First words of the prompt.",
    }


def test_listing_names_methods_and_data_sets() -> None:
    assert listing({"toy": Toy}, {"box": read_toys}) == (
        "methods (method.name)\n  toy  Train nothing at all.\n\n"
        "data sets (data.name)\n  box  Read a box of toys.\n"
    )


@pytest.mark.parametrize(
    ("flag", "words"), [("--help", "usage: "), ("-h", "usage: "), ("--list", "methods (")]
)
def test_flag_writes_to_stdout_and_makes_no_config(
    flag: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    made = command_line.parse([flag], methods={"toy": Toy}, sources={"box": read_toys})
    assert made is None
    assert capsys.readouterr().out.startswith(words)
