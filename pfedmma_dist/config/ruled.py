"""Ruled: rules of the server that plugins have registered, which one is named, and its options."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pfedmma_dist.config.built import merged
from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.config.documents import Layer, Word, parsed
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.config.merge import Optioned, hint, plain
from pfedmma_dist.spelling import quoted

RULE, OPTIONS = "server.rule", "server.options"

RULES: dict[str, type[Optioned]] = {}
"""By name: what `exchange.rules.register` has added; our own are those of `server.name`."""


def given(layers: Iterable[Layer], key: str) -> Any:
    """Return what the last layer gives a key; None where none does."""
    last: Any = None
    *sections, part = key.split(".")
    for layer in layers:
        tree: Any = layer.tree
        for depth, name in enumerate(sections, start=1):
            tree = tree.get(name) if isinstance(tree, Mapping) else None
            tree = parsed(tree, ".".join(sections[:depth])) if isinstance(tree, Word) else tree
        if isinstance(tree, Mapping) and part in tree:
            last = tree[part]
    is_written_out = isinstance(last, Word) and last.startswith(("[", "{"))
    return parsed(last, key) if is_written_out else last


def chosen(layers: list[Layer], rules: Mapping[str, type[Optioned]]) -> str | None:
    """Return the rule that the layers name, None where none is; ValueError where it is not there,
    or its options are without it."""
    name = given(layers, RULE)
    name = None if name == "null" else name
    other = given(layers, "server.name")
    if isinstance(other, str) and other in rules:
        raise ValueError(f"server.name: {other} is a rule of a plugin; write {RULE}={other}")
    if name is None:
        if any(given([layer], OPTIONS) for layer in layers):
            raise ValueError(
                f"{OPTIONS}: they are those of a rule of your own, and none is named; set {RULE}, "
                f"or leave {OPTIONS} out"
            )
        return None
    if name in rules:
        return str(name)
    if re.fullmatch(r"[\w.-]+", str(name)):
        raise _unknown(str(name), rules)
    return None  # no text that a name could be: the merge says so, or `settled`


def _unknown(name: str, rules: Mapping[str, type[Optioned]]) -> ValueError:
    """Return the error about a name that is not that of a rule."""
    if name in ServerRule.__members__:
        return ValueError(f"{RULE}: {name} is a rule of ours; write server.name={name}")
    if name in rules:
        return ValueError(
            f"{RULE}: {name} is what a reference stands for, and the options hang on it; write "
            f"{RULE}={name}"
        )
    known = f"; known: {', '.join(sorted(rules))}" if rules else ""
    return ValueError(
        f"{RULE}: {quoted(name)} is unknown{hint(name, rules)}{known}; list the module that "
        "registers it in plugins"
    )


def settled(server: Any, rule: str | None, rules: Mapping[str, type[Optioned]]) -> ServerConfig:
    """Return a merged server section with the options of its rule as plain values; ValueError
    where that is unknown, or two rules are asked for. rule: as `chosen` found it."""
    if server.rule != rule:
        raise _unknown(server.rule, rules)
    if rule is None:
        return server
    if server.name is not ServerRule.average:
        raise ValueError(
            f"server.name: {server.name.name}, and {RULE}={rule} takes its place; leave one of the "
            "two out"
        )
    options = {key: plain(value) for key, value in vars(server.options).items()}
    return ServerConfig(**{**vars(server), "options": options})


def options_of(server: ServerConfig) -> tuple[type[Optioned], Any] | None:
    """Return the class of the rule that is named, and its options as it knows them."""
    if server.rule is None:
        return None
    kind = RULES[server.rule]
    return kind, merged(kind.Options, [Layer("", server.options)])
