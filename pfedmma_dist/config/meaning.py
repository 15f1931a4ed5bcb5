"""What a key means for the identity of a run; it stands beside the key, in the field's metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pfedmma_dist.config.limits import LIMIT, Limit

MEANING = "meaning"
"""Under which a field's metadata holds its Meaning."""


Where = Mapping[str, tuple[str | int | None, ...]]
"""Dotted key -> some of its values, enums by name."""


class Role(Enum):
    """What a key can reach."""

    RESULT = "the numbers"
    BITS = "how the numbers are rounded"
    RESOURCE = "where and with what the run works, and no number"
    REPORT = "which numbers are shown on the way, and none of them"


@dataclass(frozen=True)
class Meaning:
    """What a key means; one that is not told otherwise decides the numbers."""

    role: Role = Role.RESULT
    heading: str = ""
    """What tables call it; empty for the last part of its name."""
    is_open: bool = False
    """Null leaves the choice to the program, at a later start to what the run began with."""
    by_content: bool = False
    """A place: what lies there is compared in its stead, so that it may move."""
    is_file: bool = False
    """Names a file, whose digest a run keeps to say later that it has changed."""
    counts_as: Mapping[str | int, str | None] = field(default_factory=dict)
    """Values that differ in no number, and the one that they all count as."""
    only: Where = field(default_factory=dict)
    """Another key -> the values of it, all keys alike, at which this key is read."""
    never: Where = field(default_factory=dict)
    """Another key -> the values of it at which this key is not read."""
    refused: bool = False
    """Where it is not read, another value than the default is refused."""
    decides_at: Where = field(default_factory=dict)
    """Another key -> the values of it at which this key decides the numbers, whatever its role;
    any of several will do."""
    was: Any = None
    """What format 0 had by default where null is the default now."""
    since: int = 0
    """Format that brought the key; older runs were what its default is."""

    def is_read(self, values: Mapping[str, Any]) -> bool:
        """Whether the key is read where all keys have these values."""
        return all(values[key] in at for key, at in self.only.items()) and not any(
            values[key] in at for key, at in self.never.items()
        )

    @property
    def where(self) -> str:
        """Say where the key is read; nothing where it always is."""
        told = [f"{key}={_either(at)}" for key, at in self.only.items()]
        told += [f"{key} other than {_either(at)}" for key, at in self.never.items()]
        return " and ".join(told)

    def decides(self, values: Mapping[str, Any]) -> bool:
        """Whether another value makes another run where other keys have these values."""
        chosen = any(values.get(key) in at for key, at in self.decides_at.items())
        return self.role in (Role.RESULT, Role.BITS) or chosen


def _either(values: tuple[str | int | None, ...]) -> str:
    return " or ".join("null" if value is None else str(value) for value in values)


def key(default: Any, *, limit: Limit | None = None, **meaning: Any) -> Any:
    """Return the field of a key; meaning: fields of `Meaning`."""
    return field(default=default, metadata={LIMIT: limit, MEANING: Meaning(**meaning)})
