"""A YAML file of a few bytes cannot ask for more than there is."""

from pathlib import Path

import pytest

from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)
)
STEPS = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60))
BOUNDS = {
    "aliases that unfold": (LAUGHS, "unfolds to over 10,000 values (line 12); write them without"),
    "merges that unfold": (MERGES, "unfolds to over 10,000 values (line 11); write them without"),
    "an alias within itself": ("a: &a [*a]\n", "has *a within &a itself (line 1)"),
    "depth by aliases": (STEPS, "is nested over 32 deep (line 30); no key is"),
    "lists": ("a: " + "[" * 100_000, "is nested over 32 deep (line 1); no key is"),
    "mappings": ("a: " + "{b: " * 100_000, "is nested over 32 deep (line 1); no key is"),
    "indentation": ("- " * 100_000 + "a", "is nested over 32 deep (line 1); no key is"),
    "a long text": ("seed: " + "9" * 5000, "holds a text of 5,000 characters (line 1); at most"),
    "a large file": ("#" * 1_000_001, "is larger than 1,000,000 bytes; is it the right file?"),
    "a tag": ("a: !!timestamp x", "has the tag 'tag:yaml.org,2002:timestamp' (line 1); write a"),
    "a call": (
        "a: !!python/object/apply:os.system [x]",
        "apply:os.system' (line 1); write a plain",
    ),
}


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "my.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(("text", "words"), BOUNDS.values(), ids=BOUNDS)
def test_a_file_out_of_bounds_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ValueError) as error:
        read_yaml(file)
    told = str(error.value)
    assert told.startswith(f"{file} ") and words in told
    assert len(told) < 600  # with the names of all methods


UNREADABLE = {
    "a key twice": ("data:\n  name: folder\n  name: glyphs\n", "found duplicate key name"),
    "UTF-16": ("seed: 3\n".encode("utf-16"), "codec can't decode byte 0xff"),
    "a tab": ("data:\n\tname: folder\n", "line 2"),
    "NUL": (b"seed: \0", "unacceptable character"),
    "two documents": ("seed: 1\n---\nseed: 2\n", "another document"),
}


@pytest.mark.parametrize(("content", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_yaml_of_ours_is_refused_by_name(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    file = written(tmp_path, content)
    with pytest.raises(ValueError) as error:
        read_yaml(file)
    assert str(error.value).startswith(f"{file} is not readable YAML: ")
    assert words in str(error.value)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "\ufeffseed: 3\n")) == {"seed": 3}


def test_aliases_within_bounds_are_read(tmp_path: Path) -> None:
    text = "a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n"
    assert read_yaml(written(tmp_path, text)) == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": {"b": 1, "e": 2},
    }


WORDS = {
    "nested": ("data.classes=" + "[" * 5000, "data.classes: '[[[", "nested over 32 deep"),
    "many": ("data.classes=[" + "x," * 10_001 + "]", "data.classes: '[x,", "over 10,000 values"),
    "section": ("data=" + "{a: " * 5000, "data: '{a: {a:", "nested over 32 deep"),
    "number": ("seed=" + "9" * 4000, "seed: 999", "0 or more and below 2^63"),
    "digits": ("seed=" + "9" * 5000, "seed: '999", "is not a whole number"),
    "float": ("optim.lr=" + "9" * 4000, "optim.lr: '999", "is not a number"),
    "no file": ("x" * 5000, "'xxx", "is neither a file nor key=value"),
    "no key": ("x" * 5000 + "=1", "unknown key xxx", "..."),
    "no name": ("method.name=" + "x" * 5000, "method.name: 'xxx", "is unknown; known: "),
    "half a reference": ("data.classes=${", "data.classes: '${' is not a list", "for example"),
    "half a reference to a section": ("data=${a", "data: '${a' was given for a section", "set one"),
    "a reference in a list": ("data.classes=[${]", "data.classes: '[${]' is not a list", "null"),
    "references": ("data.root=" + "${" * 2000, "data.root: '${", "is not text"),
}


@pytest.mark.parametrize(("word", "start", "words"), WORDS.values(), ids=WORDS)
def test_a_word_out_of_bounds_is_refused_by_key(word: str, start: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        read([word], methods=METHODS, sources=SOURCES)
    told = str(error.value)
    assert told.startswith(start) and words in told
    assert len(told) < 600  # with the names of all methods


def test_a_file_with_a_huge_number_names_its_key(tmp_path: Path) -> None:
    file = written(tmp_path, f"optim: {{lr: {'9' * 4000}}}\n")
    with pytest.raises(ValueError, match=r"optim\.lr: 999.* is not a number; .*my\.yaml"):
        read([str(file)], methods=METHODS, sources=SOURCES)
