"""Build a dataclass tree of its defaults and of what files and words give, left to right."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import MISSING, fields, is_dataclass, make_dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pfedmma_dist.config.documents import Layer, place
from pfedmma_dist.config.merge import Leaf, assign, assignments, leaves, members, plain, remembered
from pfedmma_dist.config.texts import refuse_odd_text
from pfedmma_dist.spelling import shortened

T = TypeVar("T")

REFERENCE = re.compile(r"\$\{(?!oc\.env:)")
MOST_REFERENCES = 24
"""Values that refer to values, `${data.root}`. Each may repeat another that repeats a third, so
these alone multiply: 24 make at most 3^8 times the longest text, before that is refused."""

NEEDS_THE_WHOLE = ("${", "???")
"""In a value that OmegaConf can resolve in the whole tree alone: a reference, or its missing."""

SINGLE = (bool, int, float, str)
"""Types of values that nothing can alter."""


def merged(schema: type[T], layers: Iterable[Layer]) -> T:
    """Return `schema` with its defaults overridden by `layers`, left to right."""
    layers, known = list(layers), leaves(schema)
    stands_alone = not any(mark in str(layer.tree) for layer in layers for mark in NEEDS_THE_WHOLE)
    stands_alone &= all(leaf.default is not MISSING for leaf in known.values())
    tree, origin = (_leaf_by_leaf if stands_alone else _resolved)(schema, known, layers)
    for key, layer in origin.items():  # as it is once `${...}` is resolved
        refuse_odd_text(key, plain(attrgetter(key)(tree)), place(layer))
    return tree


def _leaf_by_leaf(
    schema: type[T], known: Mapping[str, Leaf], layers: list[Layer]
) -> tuple[T, dict[str, Layer]]:
    """Return the tree and where each given value comes from; no value needs another.

    A copy of OmegaConf's whole tree takes most of the time of a merge, a slot for one value none.
    """
    values: dict[str, Any] = {}
    origin: dict[str, Layer] = {}
    for layer in layers:
        for key, value in assignments(layer.tree, known, layer):
            values[key], origin[key] = _typed(known[key], value, layer), layer
    return _with(_defaults(schema), values), origin


def _typed(leaf: Leaf, value: Any, layer: Layer) -> Any:
    """Return a value as the leaf's type; ValueError where it is none of its."""
    if isinstance(value, SINGLE) and (leaf.kind in SINGLE or members(leaf.kind)):
        with suppress(ValueError):
            return _remembered(leaf.key, leaf.annotation, type(value).__name__, value)
    return _typed_alone(leaf, value, layer)


def _typed_alone(leaf: Leaf, value: Any, layer: Layer) -> Any:
    slot = _slot(leaf.annotation)
    assign(slot, "value", leaf, value, layer)
    typed: Any = OmegaConf.to_object(slot)
    return typed.value


@lru_cache(maxsize=4096)
def _remembered(key: str, annotation: Any, given: str, value: Any) -> Any:
    """Return a single value as a leaf's type: the runs of a sweep say the same very often.

    given: name of the value's type, as 1 and True are one key of a table. A refusal does not name
    its layer.
    """
    return _typed_alone(Leaf(key, annotation, None), value, Layer("", {}))


def _resolved(
    schema: type[T], known: Mapping[str, Leaf], layers: list[Layer]
) -> tuple[T, dict[str, Layer]]:
    """Return the tree with `${...}` resolved, and where each given value comes from."""
    config = deepcopy(_structured(schema))
    origin: dict[str, Layer] = {}
    for layer in layers:
        for key, value in assignments(layer.tree, known, layer):
            assign(config, key, known[key], value, layer)
            origin[key] = layer
    _refuse_many_references(config)
    for leaf in known.values():
        _resolve(config, leaf)
    tree: Any = OmegaConf.to_object(config)
    return tree, origin


@remembered
def _structured(schema: type) -> DictConfig:
    """Return the defaults of a schema as OmegaConf types them; a copy takes a fifth of the time."""
    return OmegaConf.structured(schema)


@remembered
def _defaults(schema: type[T]) -> T:
    """Return a schema with its defaults, typed: whole numbers where a key holds any number."""
    usual = schema()
    whole = {
        key: float(leaf.default)
        for key, leaf in leaves(schema).items()
        if leaf.kind is float and isinstance(leaf.default, int)
    }
    return _with(usual, whole)


@remembered
def _slot(annotation: Any) -> DictConfig:
    """Return a tree of one leaf, `value`, which types what is assigned to it."""
    return OmegaConf.structured(make_dataclass("Slot", [("value", annotation)]))


def _with(section: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """Return a dataclass tree like `section` with some of its leaves replaced, by dotted key."""
    found = {}
    for item in fields(section):
        key, usual = f"{prefix}{item.name}", getattr(section, item.name)
        if is_dataclass(usual):
            found[item.name] = _with(usual, values, f"{key}.")
        else:
            found[item.name] = values[key] if key in values else copy(usual)
    return type(section)(**found)


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
