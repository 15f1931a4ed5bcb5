"""Merge files and words into a dataclass tree; a refusal names the key, the value and the remedy.

OmegaConf loads the YAML, types the leaves and resolves `${...}`. What it does not say is said here:
what a user may have meant by an unknown name, and what kind of value a key wants.
"""

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from operator import attrgetter
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pfedmma_dist.config.choices import REASONS
from pfedmma_dist.config.documents import Layer, Word, as_written, parsed, place
from pfedmma_dist.config.texts import refuse_odd_text
from pfedmma_dist.spelling import hint, quoted, shortened

T = TypeVar("T")

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
EXAMPLES = {bool: "true", int: "1", float: "0.1", str: "name", list[str]: "[cat,dog]"}
EXAMPLES[list[int]] = "[16,8]"
SWITCHES = {True: "on", False: "off"}

REFERENCE = re.compile(r"\$\{(?!oc\.env:)")
MOST_REFERENCES = 24
"""Values that refer to values, `${data.root}`. Each may repeat another that repeats a third, so
these alone multiply: 24 make at most 3^8 times the longest text, before that is refused."""


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


def leaves(schema: type, prefix: str = "") -> dict[str, Leaf]:
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


def merged(schema: type[T], layers: Iterable[Layer]) -> T:
    """Return `schema` with its defaults overridden by `layers`, left to right."""
    known = leaves(schema)
    config = deepcopy(_defaults(schema))
    origin: dict[str, Layer] = {}  # key -> where its value comes from
    for layer in layers:
        for key, value in _flat(layer.tree, known, layer):
            _assign(config, known[key], value, layer)
            origin[key] = layer
    _refuse_many_references(config)
    for leaf in known.values():
        _resolve(config, leaf)
    tree = OmegaConf.to_object(config)
    for key, layer in origin.items():  # as it is once `${...}` is resolved
        refuse_odd_text(key, plain(attrgetter(key)(tree)), place(layer))
    return tree


@cache
def _defaults(schema: type) -> DictConfig:
    """Return the defaults of a schema as OmegaConf types them; a copy takes a fifth of the time."""
    return OmegaConf.structured(schema)


def origins(schema: type, layers: Iterable[Layer]) -> dict[str, Layer]:
    """Return the last layer that gives each key, for all keys that are given."""
    known = leaves(schema)
    return {key: layer for layer in layers for key, _ in _flat(layer.tree, known, layer)}


def _flat(
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
        yield from _flat(value or {}, known, layer, f"{key}.")


def _assign(config: DictConfig, leaf: Leaf, value: Any, layer: Layer) -> None:
    """Set a leaf of `config`, typed."""
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
        OmegaConf.update(config, leaf.key, value, merge=False)
    except (OmegaConfBaseException, OverflowError, RecursionError) as error:
        raise leaf.refusal(given, layer) from error
    if not interpolated and kind is float:
        number = OmegaConf.select(config, leaf.key)
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


def _refuse_many_references(config: DictConfig) -> None:
    """Refuse values that would repeat each other without end."""
    count = len(REFERENCE.findall(str(OmegaConf.to_container(config, resolve=False))))
    if count > MOST_REFERENCES:
        raise ValueError(
            f"{count} values refer to others by ${{...}}, and at most {MOST_REFERENCES} may; write "
            "some of them out"
        )


def _resolve(config: DictConfig, leaf: Leaf) -> None:
    """Check that a leaf has a value and that its interpolation leads to one of the right type."""
    try:
        OmegaConf.select(config, leaf.key, throw_on_missing=True, throw_on_resolution_failure=True)
    except OmegaConfBaseException as error:
        reason = shortened(str(error).splitlines()[0], 160)
        raise ValueError(f"{leaf.key}: {reason}; for example {leaf.example}") from error


def _default(item: Field) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()
