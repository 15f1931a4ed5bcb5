"""What the grid of a sweep may say, and which of its points are left out."""

from collections.abc import Iterable, Mapping
from typing import Any

from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import hint, leaves, shown

ROW = "row"
"""What an entry of `exclude` calls the row."""


def need_text(file: str, key: str, values: Iterable[Any]) -> None:
    """Refuse values that YAML has made something else of, where a key holds text."""
    leaf = leaves(Config).get(key)
    if leaf is None or leaf.kind not in (str, list[str]):
        return
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bool | int | float):
                raise ValueError(
                    f"{file}: grid: {key}: {shown(item)} is what YAML reads of an unquoted value, "
                    f"and the key holds {leaf.expected}; quote it"
                )


def check_exclude(
    file: str, exclude: Iterable[Mapping[str, Any]], known: Mapping[str, list[Any]]
) -> None:
    """Refuse an entry that matches no run of the file, whatever words have made of its grid."""
    for entry in exclude:
        if not entry:
            raise ValueError(f"{file}: exclude: an entry without a key would exclude every run")
        for key, value in entry.items():
            if key not in known:
                names = ", ".join(known)
                raise ValueError(
                    f"{file}: exclude: {key} is no key of the grid{hint(key, known)}; "
                    f"an entry may name {names}"
                )
            if value not in known[key]:
                values = ", ".join(map(shown, known[key]))
                raise ValueError(
                    f"{file}: exclude: {key}: {shown(value)} matches no run; its values: {values}"
                )


def matches(exclude: Iterable[Mapping[str, Any]], point: Mapping[str, Any]) -> bool:
    """Whether a point has all values of one of the entries."""
    return any(all(point[key] == value for key, value in entry.items()) for entry in exclude)
