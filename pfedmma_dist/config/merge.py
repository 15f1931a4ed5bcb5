"""Find the leaf of each value that files and words give; a refusal names key, value and remedy.

OmegaConf types the leaves. What it does not say is said here: what a user may have meant by an
unknown name, and what kind of value a key wants.
"""

import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import (
    Any,
    ClassVar,
    Protocol,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pfedmma_dist.config.choices import REASONS
from pfedmma_dist.config.documents import Layer, Word, as_written, parsed, place
from pfedmma_dist.spelling import hint, quoted, shortened

F = TypeVar("F", bound=Callable[..., Any])

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
EXAMPLES = {bool: "true", int: "1", float: "0.1", str: "name", list[str]: "[cat,dog]"}
EXAMPLES[list[int]] = "[16,8]"
SWITCHES = {True: "on", False: "off"}


@dataclass(frozen=True)
class Leaf:
    """A key that holds a value: `federation.rounds`."""

    key: str
    annotation: Any
    default: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Any:
        """Return the annotation without its `None`."""
        if get_origin(self.annotation) in (Union, UnionType):
            (kind,) = (a for a in get_args(self.annotation) if a is not type(None))
            return kind
        return self.annotation

    @property
    def optional(self) -> bool:
        """Whether null is a value."""
        return self.kind is not self.annotation

    @property
    def expected(self) -> str:
        """Say in words what the key holds."""
        kind, names = self.kind, ", ".join(members(self.kind))
        origin = get_origin(kind) or kind
        inside = {str: " of text", int: " of whole numbers", float: " of numbers"}
        of = "".join(inside.get(one, "") for one in get_args(kind)[:1])
        collection = f"a list{of}" if origin in (list, tuple) else "a mapping"
        words = f"one of {names}" if names else WORDS.get(kind, collection)
        return f"{words}, or null" if self.optional else words

    @property
    def example(self) -> str:
        """Return an assignment that would be accepted."""
        value = self.default
        if value in (None, MISSING):
            value = EXAMPLES.get(self.kind) or next(iter(members(self.kind)), "[]")
        return shlex.quote(f"{self.key}={shown(value)}")

    def refusal(self, value: Any, layer: Layer) -> ValueError:
        """Return the error for a value of the wrong type."""
        given = str(value) if isinstance(value, Word) else value
        written, remedy = layer.text_of(self.key), ""
        text = written if isinstance(written, str) else str(given)
        if self.kind is str and isinstance(value, int | float):
            remedy = f"; quote it, as in {quoted(text)}"
        elif members(self.kind) and text in REASONS:
            remedy = f" ({REASONS[text]})"
        elif self.kind == list[str]:
            if isinstance(value, list):
                remedy = "; quote each of its items"
            elif not set(text) & set("[]{}"):
                given, remedy = text, f"; write [{shortened(text)}]"
        return ValueError(
            f"{self.key}: {quoted(given)} is not {self.expected}{remedy}; "
            f"for example {self.example}{place(layer)}"
        )


def members(kind: Any) -> list[str]:
    """Return the names of an enum's values; nothing for any other type."""
    return list(kind.__members__) if isinstance(kind, type) and issubclass(kind, Enum) else []


def plain(value: Any) -> Any:
    """Return `value` with an enum replaced by its name."""
    return value.name if isinstance(value, Enum) else value


def shown(value: Any) -> str:
    """Return `value` as YAML and the command line write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(plain(value))


def remembered(function: F) -> F:
    """Keep what a function returned, as `functools.cache` does, whose type takes no class."""
    return cast(F, cache(function))


class Optioned(Protocol):
    """What has options of its own: a method."""

    Options: ClassVar[type]


Methods = Mapping[str, type[Optioned]]
"""Methods by name."""


@remembered
def leaves(schema: Any, prefix: str = "") -> Mapping[str, Leaf]:
    """Return the leaves of a dataclass tree by dotted key, in the order of the source."""
    found: dict[str, Leaf] = {}
    hints = get_type_hints(schema)
    for item in fields(schema):
        annotation, key = hints[item.name], prefix + item.name
        if is_dataclass(annotation):
            found.update(leaves(annotation, f"{key}."))
        else:
            found[key] = Leaf(key, annotation, _default(item), item.metadata)
    return found


def origins(schema: type, layers: Iterable[Layer]) -> dict[str, Layer]:
    """Return the last layer that gives each key, for all keys that are given."""
    known = leaves(schema)
    return {key: layer for layer in layers for key, _ in assignments(layer.tree, known, layer)}


def assignments(
    tree: Mapping[Any, Any], known: Mapping[str, Leaf], layer: Layer, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values of `tree`, all of them known."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if "." in str(name):
            at = f"{shortened(key)}{place(layer)}"
            raise ValueError(f"{at}: nest keys in a file, one name on each level")
        if key in known:
            yield key, value
            continue
        inside = [other for other in known if other.startswith(f"{key}.")]
        if not inside:
            sections = {other.rpartition(".")[0] for other in known} - {""}
            near = hint(key, [*known, *sections])
            raise ValueError(f"unknown key {shortened(key)}{place(layer)}{near}")
        if isinstance(value, Word):
            value = parsed(value, key)
        if not isinstance(value, Mapping | None):
            raise ValueError(
                f"{key}: {quoted(value)} was given for a section of keys; "
                f"set one of its keys, for example {known[inside[0]].example}{place(layer)}"
            )
        yield from assignments(value or {}, known, layer, f"{key}.")


def assign(config: DictConfig, key: str, leaf: Leaf, value: Any, layer: Layer) -> None:
    """Set the leaf that `config` has at a dotted key, typed; ValueError where it is none of its."""
    given, kind = value, leaf.kind
    if isinstance(value, Word):
        verbatim = kind in (int, float, str) or bool(members(kind))
        value = str(value) if verbatim and value != "null" else parsed(value, leaf.key)
    if members(kind) and isinstance(value, bool):
        value = SWITCHES[value]  # YAML reads an unquoted `off` as false
    interpolated = isinstance(value, str) and "${" in value
    if kind == list[str] and value is not None and not interpolated:
        value = _texts(given, value, leaf, layer)
    # OmegaConf alone would take 2 for true, and 010 for the text "8"
    loose = isinstance(value, int | float) and (
        kind is str or (kind is bool and not isinstance(value, bool))
    )
    if loose and not interpolated:
        raise leaf.refusal(given, layer)
    try:
        OmegaConf.update(config, key, value, merge=False)
    except (OmegaConfBaseException, OverflowError, RecursionError) as error:
        raise leaf.refusal(given, layer) from error
    if not interpolated and kind is float:
        number = OmegaConf.select(config, key)
        if number is not None and not math.isfinite(number):
            raise leaf.refusal(given, layer)


def _texts(given: Any, value: Any, leaf: Leaf, layer: Layer) -> list[str]:
    """Return a list of texts as they are written, whatever else YAML takes one for."""
    if not isinstance(value, list):
        raise leaf.refusal(given, layer)
    written = as_written(given) if isinstance(given, Word) else layer.text_of(leaf.key)
    items = written if isinstance(written, list) else value
    if not all(isinstance(item, str) for item in items):
        raise leaf.refusal(items, layer)
    return items


def _default(item: Field) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()
