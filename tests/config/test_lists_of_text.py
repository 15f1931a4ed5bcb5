"""A list of texts keeps what is written, whatever YAML takes an unquoted item for."""

from pathlib import Path

import pytest

from launch.plan import plan
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

ODD = ["yes", "no", "on", "001", "010", "0x1F", "1e3", "1_000", "null", "~", "2024-01-01", "12:30"]
ODD += ["true", ".inf", "1.10", "sea horse", "it's", "+5"]


def configured(*words: object) -> Config:
    return read(map(str, words), methods=METHODS, sources=SOURCES)


def refused(*words: object) -> str:
    with pytest.raises(ValueError) as error:
        configured(*words)
    return str(error.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.yaml"


def test_items_of_a_word_are_as_they_were_typed() -> None:
    assert configured(f"data.classes=[{','.join(ODD)}]").data.classes == ODD


@pytest.mark.parametrize("form", ["flow", "block"])
def test_items_of_a_file_are_as_they_were_written(file: Path, form: str) -> None:
    lines = "".join(f"\n  - {item}" for item in ODD)
    file.write_text(f"data:\n classes: {'[' + ', '.join(ODD) + ']' if form == 'flow' else lines}\n")
    assert configured(file).data.classes == ODD


def test_saved_configuration_has_the_same_items(file: Path) -> None:
    config = configured(f"data.classes=[{','.join(ODD)}]")
    file.write_text(to_yaml(config))
    assert configured(file) == config


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("data.classes=yes", "data.classes: 'yes' is not a list of text, or null; write [yes];"),
        ("data.classes=001", "data.classes: '001' is not a list of text, or null; write [001];"),
        ("data.classes=cat,dog", "write [cat,dog]; for example 'data.classes=[cat,dog]'"),
        ("data.classes=[[a],b]", "[['a'], 'b'] is not a list of text, or null; quote each of its"),
        ("data={classes: [yes]}", "data.classes: [True] is not a list of text, or null; quote"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_texts_is_refused_with_how_to_write_it(word: str, words: str) -> None:
    assert words in refused(word)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "data: {classes: yes}",
            "data.classes: 'yes' is not a list of text, or null; write [yes]",
        ),
        ("data: {held_out: no}", "data.held_out: False is not text, or null; quote it, as in 'no'"),
        ("data: {name: 1e3}", "data.name: 1000.0 is not text; quote it, as in '1e3'"),
        ("run: {folder: 010}", "run.folder: 8 is not text, or null; quote it, as in '010'"),
    ],
)
def test_text_of_a_file_that_yaml_takes_for_more_is_refused_as_written(
    file: Path, text: str, words: str
) -> None:
    file.write_text(text)
    assert words in refused(file)
    assert str(file) in refused(file)


def test_interpolation_and_null_are_still_values(file: Path) -> None:
    file.write_text("data: {held_out: cat, classes: ['${data.held_out}', dog]}")
    assert configured(file).data.classes == ["cat", "dog"]
    assert configured(file, "data.classes=null").data.classes is None


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("data.held_out: [photo, no]", "grid: data.held_out: false is what YAML reads of an unq"),
        ("data.classes: [[cat, 010]]", "grid: data.classes: 8 is what YAML reads of an unquoted"),
    ],
)
def test_grid_of_a_sweep_refuses_what_yaml_has_changed(file: Path, grid: str, words: str) -> None:
    file.write_text(f"base: [data.name=folder]\ngrid: {{{grid}}}\n")
    with pytest.raises(ValueError, match="quote it") as error:
        plan(str(file), [])
    assert words in str(error.value)


def test_grid_of_a_sweep_may_hold_lists_of_texts(file: Path) -> None:
    file.write_text("base: [data.name=folder]\ngrid: {data.classes: [['no', \"it's\"], [cat]]}\n")
    assert [run.config.data.classes for run in plan(str(file), [])] == [["no", "it's"], ["cat"]]
