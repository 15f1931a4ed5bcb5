"""Optioned: the tree of keys with the options of one method, and of one rule, as keys of it."""

from dataclasses import field, fields, make_dataclass
from functools import cache
from typing import Any, get_type_hints

from pfedmma_dist.config.learning import ServerConfig

Field = tuple[str, Any, Any]
"""Name, type and default of a field, as `make_dataclass` takes it."""


@cache
def tree_of(schema: type | None, name: str, options: type, rule: type | None) -> type:
    """Return `schema` with a method's options as its `method`; rule: the options of a rule of a
    plugin, which become those of `server`."""
    section = make_dataclass("Method", [("name", str, name), *_fields(options)], kw_only=True)
    own: dict[str, Field] = {"method": ("method", section, field(default_factory=section))}
    if rule is not None:
        inside = ("options", rule, field(default_factory=rule))
        parts = [inside if item[0] == "options" else item for item in _fields(ServerConfig)]
        server = make_dataclass("Server", parts, kw_only=True)
        own["server"] = ("server", server, field(default_factory=server))
    others = [item for item in _fields(schema) if item[0] not in own] if schema else []
    return make_dataclass("Tree", [*others, *own.values()], kw_only=True)


def _fields(schema: type) -> list[Field]:
    """Return name, type and default of each field, to build another dataclass with."""
    hints = get_type_hints(schema)
    return [
        (
            item.name,
            hints[item.name],
            field(
                default=item.default,
                default_factory=item.default_factory,
                metadata=item.metadata,
            ),
        )
        for item in fields(schema)
    ]
