"""Registry: the check of a class that a user adds to those of a key, such as method.name."""

import re
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from pfedmma_dist.config.merge import leaves
from pfedmma_dist.spelling import quoted

NAME = re.compile(r"[a-z][a-z0-9_]*")


def admit(kind: type, table: dict[str, Any], example: str) -> None:
    """Give a class its place in a table by its name; ValueError for what no run could be made of.

    The same class defined anew, as a notebook does when a cell runs again, takes the place of the
    older one. example: of a name.
    """
    where = f"{kind.__module__}.{kind.__qualname__}"
    name = getattr(kind, "name", None)
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(
            f"{where}.name: {quoted(name)} is no name; give the class a name of small letters, "
            f'digits and _, as in name = "{example}"'
        )
    other = table.get(name)
    if other is not None and f"{other.__module__}.{other.__qualname__}" != where:
        raise ValueError(
            f"{where}.name: {name} is taken by {other.__module__}.{other.__qualname__}; give the "
            "class another name"
        )
    if not (vars(kind).get("__doc__") or "").strip():
        raise ValueError(f"{where}: write a docstring; its first line says what --list tells of it")
    _check_options(where, getattr(kind, "Options", None))
    table[name] = kind


def _check_options(where: str, options: object) -> None:
    """Refuse an `Options` that is no dataclass, or has a key of no type or without a default."""
    if not (isinstance(options, type) and is_dataclass(options)):
        raise ValueError(
            f"{where}.Options: {quoted(options)} is no dataclass; write a kw_only dataclass of its "
            "options, each with a default, if there are any"
        )
    for item in fields(options):
        if item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{where}.Options.{item.name}: give the option a default")
    try:
        leaves(options)
    except (NameError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}.Options: the types of its fields cannot be told ({error}); define it outside "
            "of functions, and write bool, int, float, str, an Enum, a list of these, or X | None"
        ) from error
