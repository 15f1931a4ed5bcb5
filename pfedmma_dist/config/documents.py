"""YAML from anybody: its size, depth and tags are seen before anything is built of it.

An alias costs a few bytes and stands for all that it names, so that a short file can unfold to more
than any memory holds; whoever builds the tree has to be sure of its size first.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pfedmma_dist.config.texts import LONGEST_TEXT, refuse_odd_text
from pfedmma_dist.reading import check_format
from pfedmma_dist.spelling import quoted

MOST_BYTES = 1_000_000
MOST_VALUES = 10_000
"""Keys and values of one file, each counted as often as aliases repeat it."""
DEEPEST = 32

TEXT_TAG = "tag:yaml.org,2002:str"


class Word(str):
    """A value as it was typed on the command line; its type is decided by its key."""


@dataclass(frozen=True)
class Layer:
    """One source of values. Later layers win."""

    source: str  # file name; empty for the command line
    tree: Mapping[Any, Any]
    written: Any = None
    """The same tree with each scalar as the text that stands in the file."""

    def text_of(self, key: str) -> Any:
        """Return what is written at a dotted key; None where that is not known."""
        tree = self.written
        for name in key.split("."):
            tree = tree.get(name) if isinstance(tree, Mapping) else None
        return tree


class Unbounded(ValueError):
    """Say what of a YAML text is out of bounds, and a remedy; completes "NAME ..."."""


def place(layer: Layer) -> str:
    """Return ` (in FILE)`, or nothing for the command line."""
    return f" (in {layer.source})" if layer.source else ""


def read_yaml(path: str | Path) -> dict[Any, Any]:
    """Return the mapping in a YAML file, interpolations unresolved; empty for an empty file.

    Its `format`, where it has one, is checked and left out.
    """
    return dict(read_layer(path).tree)


def read_layer(path: str | Path) -> Layer:
    """Return a YAML file, see `read_yaml`, as a source of values."""
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8-sig")
        check_yaml(text)
        tree = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except Unbounded as error:
        raise ValueError(f"{path} {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError, OmegaConfBaseException) as error:
        raise ValueError(f"{path} is not readable YAML: {error}") from error
    except OSError as error:
        if error.errno is None:  # OmegaConf's word for a file that holds a single number
            raise ValueError(f"{path} holds no `key: value` lines") from error
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{path} holds a list; write `key: value` lines")
    check_format(Path(path), tree.pop("format", 0))
    refuse_odd_text("", tree, f" (in {path})")
    return Layer(str(path), tree, as_written(text))


def parsed(word: Word, key: str = "") -> Any:
    """Read a command-line word as YAML, or leave it as text where it is none.

    key: of the word, for the message.
    """
    try:
        check_yaml(word)
        tree = OmegaConf.from_dotlist([f"value={word}"])
        content: Any = OmegaConf.to_container(tree, resolve=False)
        return content["value"]
    except Unbounded as error:
        raise ValueError(f"{key}: {quoted(str(word))} {error}".removeprefix(": ")) from error
    except (yaml.YAMLError, ValueError, RecursionError, OmegaConfBaseException):
        return str(word)


def as_written(text: str) -> Any:
    """Read a checked YAML text with every scalar left as the text that stands there.

    YAML itself takes an unquoted yes for true, 010 for 8 and 1e3 for 1000.0.
    """
    return yaml.load(text, yaml.BaseLoader)  # builds text, lists and mappings of them alone


def check_yaml(text: str) -> None:
    """Raise Unbounded for a text out of bounds, YAMLError for one that is no YAML."""
    if len(text) > MOST_BYTES:
        raise Unbounded(f"is larger than {MOST_BYTES:,} bytes; is it the right file?")
    known: dict[str, tuple[int, int]] = {}  # anchor -> values, depth
    around: list[tuple[str | None, int, int]] = [(None, 0, 0)]  # anchor, values, depth so far
    for event in yaml.parse(text, yaml.SafeLoader):
        assert event.start_mark is not None
        place = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
            _check_tag(event.tag, place)
        if isinstance(event, yaml.CollectionStartEvent):
            around.append((event.anchor, 1, 1))
            anchor, values, depth = None, 0, 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, values, depth = around.pop()
        elif isinstance(event, yaml.ScalarEvent):
            _check_length(event.value, place)
            anchor, values, depth = event.anchor, 1, 1
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _, _ in around):
                raise Unbounded(f"has *{event.anchor} within &{event.anchor} itself ({place})")
            anchor, (values, depth) = None, known.get(event.anchor or "", (1, 1))
        else:
            continue
        if anchor is not None:
            known[anchor] = values, depth
        outer, so_far, deepest = around[-1]
        around[-1] = outer, so_far + values, max(deepest, depth + 1)
        if so_far + values > MOST_VALUES:
            raise Unbounded(
                f"unfolds to over {MOST_VALUES:,} values ({place}); write them without aliases"
            )
        if len(around) + depth > DEEPEST:
            raise Unbounded(f"is nested over {DEEPEST} deep ({place}); no key is")


def _check_tag(tag: str | None, place: str) -> None:
    if tag not in (None, "!", TEXT_TAG):
        raise Unbounded(f"has the tag {quoted(tag)} ({place}); write a plain value")


def _check_length(text: str, place: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise Unbounded(
            f"holds a text of {len(text):,} characters ({place}); at most {LONGEST_TEXT:,} fit"
        )


def as_yaml(values: Mapping[str, Any]) -> str:
    """Return dotted keys and their plain values as a YAML file of them."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        place = tree
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
