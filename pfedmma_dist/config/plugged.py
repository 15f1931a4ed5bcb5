"""Plugged: the plugins that layers of a configuration name, imported, and what is known then."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pfedmma_dist import plugins
from pfedmma_dist.config.built import merged
from pfedmma_dist.config.documents import Layer
from pfedmma_dist.config.ruled import RULE, RULES, given
from pfedmma_dist.config.several import NAME, NAMES, reader_of

METHOD = "method.name"


@dataclass(kw_only=True)
class _Listed:
    """The one key that is read before all others."""

    plugins: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """What a configuration may name, once its plugins are there."""

    plugins: list[str]  # modules, and absolute paths
    methods: Mapping[str, Any]
    sources: Mapping[str, Any]
    rules: Mapping[str, Any]


def plugged(
    layers: Sequence[Layer], methods: Mapping[str, Any], sources: Mapping[str, Any]
) -> Known:
    """Import the plugins that the layers list, and those whose entry points have what they name.

    methods, sources: the registries themselves, which plugins add to.
    """
    tables = {METHOD: methods, NAME: sources, RULE: RULES}
    found = plugins.load(_listed(layers), tables)
    known = plugins.visible(found, tables)
    named = {METHOD: _given(layers, METHOD), NAME: _sets(layers), RULE: _given(layers, RULE)}
    for key, names in named.items():
        for name in names:
            module = None if name in known[key] else plugins.announced(key, name)
            if module is not None and module not in found:
                found += plugins.load([module], tables)
                known = plugins.visible(found, tables)
    return Known(found, known[METHOD], known[NAME], known[RULE])


def announced() -> str:
    """Return what installed packages announce by entry points, under a heading of its own."""
    found = [line for key in (METHOD, NAME, RULE) for line in plugins.announcements(key)]
    return "".join(
        ["\nannounced by installed packages, imported once named\n", *found] * bool(found)
    )


def idle(words: Iterable[str]) -> dict[str, str]:
    """Return a warning about plugins that have registered nothing, under their key."""
    found = plugins.idle(words)
    remedy = "decorate them with register, or leave it out"
    told = f"{', '.join(found)} registers no method and no data set, nor a rule; {remedy}"
    return {plugins.KEY: f"{plugins.KEY}: {told}"} if found else {}


def _listed(layers: Iterable[Layer]) -> list[str]:
    """Return what the last layer that lists plugins lists."""
    own = [
        Layer(layer.source, {plugins.KEY: layer.tree[plugins.KEY]}, layer.written)
        for layer in layers
        if plugins.KEY in layer.tree
    ]
    return list(dict.fromkeys(merged(_Listed, own).plugins)) if own else []


def _sets(layers: Sequence[Layer]) -> list[str]:
    """Return the names of the data sets that the layers give."""
    found = [*_given(layers, NAME), *_given(layers, NAMES)]
    return [reader_of(name) for name in found]


def _given(layers: Iterable[Layer], key: str) -> list[str]:
    """Return the names that the last layer gives a key; one that is no name is told later."""
    last = given(layers, key)
    return [name for name in (last if isinstance(last, list) else [last]) if isinstance(name, str)]
